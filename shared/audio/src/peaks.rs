//! The waveform overview, in the JSON format version 2 of BBC audiowaveform.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

/// Points per second: at 20, four hours are 288,000 points, about 1.5 MB of JSON and 0.5 MB
/// compressed, and a minute fills a screen.
const POINTS_PER_SECOND: u32 = 20;
/// `length` stands before `data` but is known after it: its place is kept by this many spaces.
const LENGTH_WIDTH: usize = 10;

/// Writes one minimum and maximum per `samples_per_pixel` frames, as they come.
///
/// The rule is audiowaveform's (`WaveformGenerator::process`, `WaveformBuffer::saveAsJson`):
/// 16-bit samples, channels summed and divided with truncation, the last short pixel kept, every
/// value divided by 256 with truncation.
pub(crate) struct Peaks {
    file: BufWriter<File>,
    channels: i32,
    samples_per_pixel: u32,
    length_at: u64,
    count: u32,
    min: i32,
    max: i32,
    points: u64,
    bytes: u64,
}

impl Peaks {
    pub(crate) fn create(path: &Path, rate: u32, channels: usize) -> io::Result<Self> {
        let samples_per_pixel = (rate / POINTS_PER_SECOND).max(2);
        let mut head = format!(
            "{{\"version\":2,\"channels\":1,\"sample_rate\":{rate},\"samples_per_pixel\":{samples_per_pixel},\"bits\":8,\"length\":"
        );
        let length_at = head.len() as u64;
        head.push_str(&" ".repeat(LENGTH_WIDTH));
        head.push_str(",\"data\":[");
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(head.as_bytes())?;
        Ok(Self {
            file,
            channels: i32::try_from(channels).unwrap_or(1).max(1),
            samples_per_pixel,
            length_at,
            count: 0,
            min: i32::MAX,
            max: i32::MIN,
            points: 0,
            bytes: head.len() as u64,
        })
    }

    pub(crate) fn add(&mut self, samples: &[f32]) -> io::Result<()> {
        let channels = self.channels.unsigned_abs() as usize;
        let mut rest = samples;
        while rest.len() >= channels {
            let room = (self.samples_per_pixel - self.count) as usize;
            let frames = room.min(rest.len() / channels);
            let (these, later) = rest.split_at(frames * channels);
            self.widen(these);
            self.count += frames as u32;
            if frames == room {
                self.end_pixel()?;
            }
            rest = later;
        }
        Ok(())
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

    fn end_pixel(&mut self) -> io::Result<()> {
        let comma = if self.points == 0 { "" } else { "," };
        let text = format!("{comma}{},{}", self.min / 256, self.max / 256);
        self.file.write_all(text.as_bytes())?;
        self.bytes += text.len() as u64;
        self.points += 1;
        (self.count, self.min, self.max) = (0, i32::MAX, i32::MIN);
        Ok(())
    }

    /// Completes the file and returns its size in bytes.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        if self.count > 0 {
            self.end_pixel()?;
        }
        self.file.write_all(b"]}\n")?;
        self.file.seek(SeekFrom::Start(self.length_at))?;
        write!(self.file, "{:>LENGTH_WIDTH$}", self.points)?;
        self.file.flush()?;
        Ok(self.bytes + 3)
    }
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
