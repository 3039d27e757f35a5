//! The waveform overview, in the JSON format version 2 of BBC audiowaveform.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Frames per point: the finest zoom level of peaks.js and the default of audiowaveform-based players. Players cannot show
/// a finer level than the data has.
const SAMPLES_PER_PIXEL: u32 = 512;
/// Beyond it, neighbouring points are merged: 25 minutes at 48 kHz, more than an hour at 16 kHz.
const MOST_JSON_BYTES: u64 = 1_000_000;

/// Collects one minimum and maximum per `samples_per_pixel` frames.
///
/// The rule is audiowaveform's (`WaveformGenerator::process`, `WaveformBuffer::saveAsJson`):
/// 16-bit samples, channels summed and divided with truncation, the last short pixel kept, every
/// value divided by 256 with truncation.
pub(crate) struct Peaks {
    path: PathBuf,
    rate: u32,
    channels: i32,
    samples_per_pixel: u32,
    /// Of the point that is not complete yet: its frames, minimum and maximum.
    count: u32,
    min: i32,
    max: i32,
    points: Vec<(i8, i8)>,
    /// Bytes of the points as JSON.
    json_bytes: u64,
}

impl Peaks {
    pub(crate) fn create(path: &Path, rate: u32, channels: usize) -> Self {
        Self {
            path: path.to_owned(),
            rate,
            channels: i32::try_from(channels).unwrap_or(1).max(1),
            samples_per_pixel: SAMPLES_PER_PIXEL,
            count: 0,
            min: i32::MAX,
            max: i32::MIN,
            points: Vec::new(),
            json_bytes: 0,
        }
    }

    pub(crate) fn add(&mut self, samples: &[f32]) {
        let channels = self.channels.unsigned_abs() as usize;
        let mut rest = samples;
        while rest.len() >= channels {
            let room = (self.samples_per_pixel - self.count) as usize;
            let frames = room.min(rest.len() / channels);
            let (these, later) = rest.split_at(frames * channels);
            self.widen(these);
            self.count += frames as u32;
            if frames == room {
                self.end_pixel();
            }
            rest = later;
        }
    }

    /// Takes whole frames of one pixel. Most of what comes is mono, for which to divide by one would take longer than
    /// all the rest.
    fn widen(&mut self, frames: &[f32]) {
        (self.min, self.max) = match self.channels {
            1 => extremes(self.min, self.max, frames.iter().map(|sample| sixteen_bits(*sample))),
            channels => {
                let frames = frames.chunks_exact(channels.unsigned_abs() as usize);
                let sums = frames.map(|frame| frame.iter().map(|sample| sixteen_bits(*sample)).sum::<i32>());
                extremes(self.min, self.max, sums.map(|sum| sum / channels))
            }
        };
    }

    fn end_pixel(&mut self) {
        // 16 bits divided by 256 are 8 bits.
        let point = ((self.min / 256) as i8, (self.max / 256) as i8);
        self.json_bytes += json_bytes(point);
        self.points.push(point);
        (self.count, self.min, self.max) = (0, i32::MAX, i32::MIN);
        if self.json_bytes > MOST_JSON_BYTES && self.points.len().is_multiple_of(2) {
            self.merge();
        }
    }

    /// Halves the resolution. The result is what it would be had every point been twice as long from the beginning.
    fn merge(&mut self) {
        let merged = |pair: &[(i8, i8)]| (pair[0].0.min(pair[1].0), pair[0].1.max(pair[1].1));
        self.points = self.points.chunks_exact(2).map(merged).collect();
        self.samples_per_pixel *= 2;
        self.json_bytes = self.points.iter().copied().map(json_bytes).sum();
    }

    /// Writes the file and returns its size in bytes.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        if self.count > 0 {
            self.end_pixel();
        }
        let Self { rate, samples_per_pixel, .. } = self;
        let length = self.points.len();
        let mut file = BufWriter::new(File::create(&self.path)?);
        write!(
            file,
            "{{\"version\":2,\"channels\":1,\"sample_rate\":{rate},\"samples_per_pixel\":{samples_per_pixel},\
             \"bits\":8,\"length\":{length},\"data\":["
        )?;
        for (index, (min, max)) in self.points.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(file, "{comma}{min},{max}")?;
        }
        file.write_all(b"]}\n")?;
        Ok(file.into_inner()?.metadata()?.len())
    }
}

/// Bytes of a point as JSON, with its commas.
fn json_bytes((min, max): (i8, i8)) -> u64 {
    let digits = |value: i8| 1 + u64::from(value.unsigned_abs() >= 10) + u64::from(value.unsigned_abs() >= 100);
    digits(min) + digits(max) + u64::from(min < 0) + u64::from(max < 0) + 2
}

fn extremes(min: i32, max: i32, samples: impl Iterator<Item = i32>) -> (i32, i32) {
    samples.fold((min, max), |(min, max), sample| (min.min(sample), max.max(sample)))
}

/// The sample as libsndfile hands it to audiowaveform: lower bits cut off.
fn sixteen_bits(sample: f32) -> i32 {
    let scaled = (sample * 32_768.0).clamp(-32_768.0, 32_767.0);
    // Cuts towards zero and maps NaN to 0; `floor` is a call on processors without SSE 4.1.
    let whole = scaled as i32;
    whole - i32::from(whole as f32 > scaled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finished(seconds: usize, tone: impl Fn(usize) -> f32) -> (u64, serde_json::Value) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("peaks.json");
        let mut peaks = Peaks::create(&path, 16_000, 1);
        for second in 0..seconds {
            let samples: Vec<f32> = (0..16_000).map(|index| tone(second * 16_000 + index)).collect();
            peaks.add(&samples);
        }
        let size = peaks.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, size);
        (size, serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn long_audio_has_fewer_points_and_at_most_1_mb() {
        let tone = |index: usize| if index % 700 < 350 { 0.9 } else { -0.9 };
        let (short, of_short) = finished(60, tone);
        assert_eq!((of_short["samples_per_pixel"].as_u64(), of_short["length"].as_u64()), (Some(512), Some(1875)));
        assert!(short < 20_000);
        let (long, of_long) = finished(3 * 3600, tone);
        assert_eq!(of_long["samples_per_pixel"], 2048);
        assert_eq!(of_long["length"], 3 * 3600 * 16_000 / 2048);
        assert!((400_000..=1_001_000).contains(&long), "{long} bytes");
    }

    #[test]
    fn merged_points_are_those_of_longer_pixels() {
        let noise: Vec<f32> =
            (0..512 * 8 + 100).map(|index: u32| (index.wrapping_mul(2_654_435_761) as f32 / 4e9) - 0.5).collect();
        let points = |merge: bool| {
            let mut peaks = Peaks::create(Path::new("unused"), 16_000, 1);
            if !merge {
                peaks.samples_per_pixel = 1024;
            }
            peaks.add(&noise[..512 * 4]);
            if merge {
                peaks.merge();
            }
            peaks.add(&noise[512 * 4..]);
            peaks.end_pixel();
            peaks.points
        };
        assert_eq!(points(true), points(false));
    }

    proptest! {
        #[test]
        fn a_sample_of_sixteen_bits_is_the_next_whole_number_below(sample in any::<f32>(), near in -1.1_f32..1.1) {
            for sample in [sample, near] {
                let below = ((sample * 32_768.0).floor() as i32).clamp(-32_768, 32_767);
                prop_assert_eq!(sixteen_bits(sample), below, "{}", sample);
            }
        }
    }
}
