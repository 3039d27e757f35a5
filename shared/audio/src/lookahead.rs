//! What a container says of the time of its packets, checked against the packets themselves.
//!
//! The duration of a recording is what can be decoded. Three claims are believed only within limits:
//! - Padding is cut from the last packets alone, and at most 250 ms of it. Where packets without padding follow, or more
//!   of it, the claim is wrong (an Ogg granule position of 0, the frame count of the first of several joined MP3 files),
//!   and so is every later one of the stream.
//! - A timestamp of an Ogg stream that lies before the end of the packet before it gives no time.
//! - Where the timestamps of an Ogg stream advance from page to page by the same multiple of what the pages contain, its
//!   clock is wrong (granule positions in another unit). An isolated jump is a loss.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, TimeBase, Timestamp};

use crate::container::Container;
use crate::decode::frames;

/// Padding that is believed: a few packets, since encoders pad the last one, and MP3 encoders up to three.
const MOST_PADDING_MS: u64 = 250;
/// Sound that is looked at for a wrong clock: several pages, which hold up to a second each.
const OPENING_MS: u64 = 10_000;
/// Jumps between pages that tell a wrong clock from a loss. The first page says nothing: its start is computed from its
/// end.
const JUDGED_JUMPS: usize = 3;
/// Difference between jumps that are taken to be one factor, in percent.
const SAME_FACTOR_PERCENT: u64 = 3;
/// Factors of a wrong clock, in thousandths: from what rounding cannot explain to 48 kHz for 8 kHz and a little more. A
/// larger one is a stream that leaves silence out.
const FACTORS: RangeInclusive<u64> = 1050..=8000;
/// A smaller jump is rounding.
const SHORTEST_JUMP_MS: u64 = 15;

/// Holds packets back until what their container says of them can be judged.
pub(crate) struct Lookahead {
    base: Option<TimeBase>,
    ready: VecDeque<Packet>,
    /// Packets that may be the padded end of the stream.
    padded: Vec<Packet>,
    believes_padding: bool,
    clock: Clock,
}

enum Clock {
    /// The container numbers its packets in a way that needs no check.
    Unchecked,
    /// The beginning of an Ogg stream, whose clock is not known yet.
    Opening(Opening),
    /// Right, or wrong and replaced by the durations of the packets.
    Judged { is_right: bool, next: i64 },
}

#[derive(Default)]
struct Opening {
    packets: Vec<Packet>,
    /// Ticks of sound since the last jump, and the timestamp behind it.
    since_jump: u64,
    jumped_to: i64,
    next: Option<i64>,
    /// Ticks of sound between two jumps, and ticks that the clock advanced.
    jumps: Vec<(u64, u64)>,
    total: u64,
}

impl Lookahead {
    /// For one stream, or one link of a chained stream.
    pub(crate) fn new(container: Container, base: Option<TimeBase>) -> Self {
        let is_checked = container == Container::Ogg && base.is_some();
        let clock = if is_checked { Clock::Opening(Opening::default()) } else { Clock::Unchecked };
        // Without a time base, padding cannot be measured.
        Self { base, ready: VecDeque::new(), padded: Vec::new(), believes_padding: base.is_some(), clock }
    }

    /// The next packet that has been judged.
    pub(crate) fn pop(&mut self) -> Option<Packet> {
        self.ready.pop_front()
    }

    pub(crate) fn push(&mut self, mut packet: Packet) {
        match &mut self.clock {
            Clock::Unchecked => {}
            Clock::Judged { is_right, next } => correct(&mut packet, *is_right, next),
            Clock::Opening(opening) => {
                let is_jump = |ticks| self.base.is_some_and(|base| frames(ticks, base, 1000) > SHORTEST_JUMP_MS);
                opening.add(packet, is_jump);
                let total = opening.total;
                if opening.jumps.len() == JUDGED_JUMPS || self.milliseconds(total) >= OPENING_MS {
                    self.judge_clock();
                }
                return;
            }
        }
        self.judge_padding(packet);
    }

    /// Forgets all packets that are held back.
    pub(crate) fn clear(&mut self) {
        self.ready.clear();
        self.padded.clear();
        if let Clock::Opening(opening) = &mut self.clock {
            *opening = Opening::default();
        }
    }

    /// The stream has ended: what was held back is its end.
    pub(crate) fn end(&mut self) {
        self.judge_clock();
        self.ready.extend(self.padded.drain(..));
    }

    fn judge_clock(&mut self) {
        let Clock::Opening(opening) = &mut self.clock else { return };
        let opening = std::mem::take(opening);
        let is_right = !opening.has_constant_factor();
        let mut next = opening.packets.first().map_or(0, |packet| packet.pts.get());
        for mut packet in opening.packets {
            correct(&mut packet, is_right, &mut next);
            self.judge_padding(packet);
        }
        self.clock = Clock::Judged { is_right, next };
    }

    fn judge_padding(&mut self, packet: Packet) {
        if packet.trim_end == Duration::ZERO || !self.believes_padding {
            if !self.padded.is_empty() {
                self.disbelieve_padding();
            }
            self.ready.push_back(without_padding(packet));
            return;
        }
        self.padded.push(packet);
        let padding = self.padded.iter().map(|packet| packet.trim_end.get()).sum();
        if self.milliseconds(padding) > MOST_PADDING_MS {
            self.disbelieve_padding();
        }
    }

    fn disbelieve_padding(&mut self) {
        self.believes_padding = false;
        self.ready.extend(self.padded.drain(..).map(without_padding));
    }

    fn milliseconds(&self, ticks: u64) -> u64 {
        self.base.map_or(0, |base| frames(ticks, base, 1000))
    }
}

/// Gives a packet the time at which the packet before it ends, unless its own is later and the clock is right.
fn correct(packet: &mut Packet, is_right: bool, next: &mut i64) {
    if !is_right || packet.pts.get() < *next {
        packet.pts = Timestamp::from(*next);
    }
    *next = packet.pts.get().saturating_add_unsigned(packet.block_dur().get());
}

fn without_padding(mut packet: Packet) -> Packet {
    packet.dur = Duration::from(packet.dur.get() + packet.trim_end.get());
    packet.trim_end = Duration::ZERO;
    packet
}

impl Opening {
    fn add(&mut self, packet: Packet, is_jump: impl Fn(u64) -> bool) {
        let at = packet.pts.get();
        let length = packet.block_dur().get();
        match self.next {
            Some(next) if at > next && is_jump(at.abs_diff(next)) => {
                self.jumps.push((self.since_jump, at.saturating_sub(self.jumped_to).unsigned_abs()));
                (self.since_jump, self.jumped_to) = (0, at);
            }
            Some(_) => {}
            None => self.jumped_to = at,
        }
        self.since_jump += length;
        self.total += length;
        self.next = Some(at.saturating_add_unsigned(length));
        self.packets.push(packet);
    }

    fn has_constant_factor(&self) -> bool {
        // The first jump covers the first two pages. The start of the first page was computed from its end.
        let Some([(content, advance), later @ ..]) = self.jumps.get(1..) else { return false };
        let permille = |content: u64, advance: u64| advance.saturating_mul(1000) / content.max(1);
        let first = permille(*content, *advance);
        !later.is_empty()
            && FACTORS.contains(&first)
            && later.iter().all(|(content, advance)| {
                permille(*content, *advance).abs_diff(first) * 100 <= first * SAME_FACTOR_PERCENT
            })
    }
}
