//! Where decoded packets lie in time: trims, edit lists, gaps.

use std::collections::VecDeque;
use std::ops::Range;

use symphonia::core::packet::Packet;
use symphonia::core::units::TimeBase;

use crate::container::Container;
use crate::decode::frames;
use crate::layout::Form;
use crate::mp4::Edit;

/// Silence inserted for one gap, at most, in seconds.
const LONGEST_GAP_S: u64 = 600;
/// Silence for one packet that does not decode, at most, in seconds.
const LONGEST_PACKET_S: u64 = 10;

/// Places the frames of one track, packet by packet.
pub(crate) struct Timeline {
    form: Form,
    /// `None` where the container has no timestamps of its own to compare with.
    base: Option<TimeBase>,
    /// Frames by which a timestamp may be off before it counts as a gap.
    tolerance: u64,
    /// The timestamp of frame 0 of `placed`, in ticks.
    anchor: Option<i64>,
    /// Frames placed since the anchor, pre-skip and edits included.
    placed: u64,
    /// Frames of the track that have passed, heard or not, and the ranges of them that are to be heard.
    passed: u64,
    heard: VecDeque<Range<u64>>,
    /// Frames of sound and of inserted silence in the whole file.
    sounded: u64,
    silence: u64,
    /// Frames of silence due before the packet that was placed last.
    gap: u64,
}

impl Timeline {
    /// `pre_skip` counts at 48 kHz.
    pub(crate) fn new(container: Container, form: Form, base: Option<TimeBase>, edits: &[Edit], pre_skip: u64) -> Self {
        let rate = u64::from(form.rate);
        let scaled = |value: u64, scale: u32| {
            u64::try_from(u128::from(value) * u128::from(rate) / u128::from(scale.max(1))).unwrap_or(u64::MAX)
        };
        let range = |edit: &Edit| {
            let start = scaled(edit.start, edit.start_scale);
            let length = edit.length.map_or(u64::MAX, |length| scaled(length, edit.length_scale));
            start..start.saturating_add(length)
        };
        let mut heard: VecDeque<_> = edits.iter().map(range).collect();
        if heard.is_empty() {
            heard.push_back(scaled(pre_skip, 48_000)..u64::MAX);
        }
        let (timed, tolerance_ms) = match container {
            // Granule positions and frame numbers are exact.
            Container::Ogg | Container::Flac => (true, 15),
            // Timestamps are rounded, and clocks of sound and picture drift apart.
            Container::WebM | Container::Matroska | Container::Mp4 => (true, 100),
            // The demuxer counts packets there: its timestamps know of no gap.
            Container::Wav | Container::Mpeg | Container::Adts => (false, 0),
        };
        Self {
            tolerance: rate * tolerance_ms / 1000,
            form,
            base: base.filter(|_| timed),
            anchor: None,
            placed: 0,
            passed: 0,
            heard,
            sounded: 0,
            silence: 0,
            gap: 0,
        }
    }

    /// Continues a chained stream, whose links share what may be filled with silence.
    pub(crate) fn after(self, link: &Self) -> Self {
        Self { sounded: link.sounded, silence: link.silence, ..self }
    }

    /// The form that the track declares, which silence takes before anything was decoded.
    pub(crate) fn form(&self) -> &Form {
        &self.form
    }

    /// Whether all that an edit list keeps has been heard.
    pub(crate) fn is_over(&self) -> bool {
        self.heard.is_empty()
    }

    /// The length of a packet that does not decode.
    pub(crate) fn frames_of(&self, packet: &Packet) -> usize {
        let ticks = packet.block_dur().get();
        let length = match self.base {
            Some(base) => frames(ticks, base, self.form.rate),
            None => ticks,
        };
        usize::try_from(length.min(LONGEST_PACKET_S * u64::from(self.form.rate))).unwrap_or(0)
    }

    /// Cuts from the decoded frames of a packet what its container says is not to be heard.
    pub(crate) fn trim(&self, packet: &Packet, form: &Form, samples: &mut Vec<f32>) {
        let Some(base) = self.base else { return };
        let cut = |ticks: u64| {
            usize::try_from(frames(ticks, base, form.rate)).unwrap_or(usize::MAX).saturating_mul(form.channels())
        };
        samples.truncate(samples.len().saturating_sub(cut(packet.trim_end.get())));
        samples.drain(..cut(packet.trim_start.get()).min(samples.len()));
    }

    /// Takes note of a packet of `samples` samples and of what is missing before it.
    pub(crate) fn place(&mut self, packet: &Packet, form: &Form, samples: usize) {
        if let Some(base) = self.base {
            let at = packet.pts.saturating_add(packet.trim_start).get();
            if form.rate != self.form.rate {
                self.restart(at);
            }
            self.gap = self.gap_before(at, base, form.rate);
            self.silence += self.gap;
        }
        self.form.clone_from(form);
        self.sounded += (samples / form.channels()) as u64;
    }

    /// The frames missing between the last packet and a timestamp.
    fn gap_before(&mut self, at: i64, base: TimeBase, rate: u32) -> u64 {
        let Some(anchor) = self.anchor else {
            self.anchor = Some(at);
            return 0;
        };
        let Ok(ticks) = u64::try_from(at.saturating_sub(anchor)) else {
            self.restart(at);
            return 0;
        };
        let expected = frames(ticks, base, rate);
        let Some(gap) = expected.checked_sub(self.placed) else {
            // Overlap: packets are never dropped. Only a jump back begins a new count.
            if self.placed - expected > self.tolerance {
                self.restart(at);
            }
            return 0;
        };
        if gap <= self.tolerance {
            return 0;
        }
        let longest = LONGEST_GAP_S * u64::from(rate);
        // A damaged timestamp must not make hours of silence out of seconds of sound.
        if gap > longest || self.silence + gap > self.sounded + longest {
            self.restart(at);
            return 0;
        }
        gap
    }

    /// Appends at most a second of the silence that is due; `false` when none is.
    pub(crate) fn fill_gap(&mut self, form: &Form, out: &mut Vec<f32>) -> bool {
        let chunk = self.gap.min(u64::from(form.rate));
        if chunk == 0 {
            return false;
        }
        self.gap -= chunk;
        let quiet = vec![0.0; usize::try_from(chunk).unwrap_or(0) * form.channels()];
        self.emit(&quiet, form.channels(), out);
        true
    }

    fn restart(&mut self, at: i64) {
        self.anchor = Some(at);
        self.placed = 0;
    }

    /// Appends those of the next samples that are to be heard.
    pub(crate) fn emit(&mut self, samples: &[f32], channels: usize, out: &mut Vec<f32>) {
        let count = (samples.len() / channels) as u64;
        self.placed += count;
        let block = self.passed..self.passed + count;
        self.passed = block.end;
        let index = |frame: u64| usize::try_from(frame - block.start).unwrap_or(usize::MAX).saturating_mul(channels);
        while let Some(heard) = self.heard.front() {
            let (start, end) = (heard.start.max(block.start), heard.end.min(block.end));
            if start < end {
                out.extend_from_slice(&samples[index(start)..index(end)]);
            }
            if heard.end > block.end {
                break;
            }
            self.heard.pop_front();
        }
    }
}
