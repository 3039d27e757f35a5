//! Channel roles: what loudness weighs and how many channels become two or one.

use symphonia::core::audio::{Channels, Position};

/// Where a channel sounds from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Left,
    Right,
    Center,
    SurroundLeft,
    SurroundRight,
    /// Subwoofer: neither loudness nor a downmix counts it.
    LowFrequency,
    /// One of several channels without a position.
    Discrete,
}

/// The form of decoded sound: interleaved `f32`, full scale 1.0, at `rate` frames per second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) rate: u32,
    pub(crate) roles: Vec<Role>,
}

impl Form {
    pub(crate) fn channels(&self) -> usize {
        self.roles.len()
    }
}

pub(crate) fn roles_of(channels: &Channels) -> Vec<Role> {
    let Channels::Positioned(positions) = channels else {
        return discrete(channels.count());
    };
    let left = Position::FRONT_LEFT
        | Position::FRONT_LEFT_CENTER
        | Position::TOP_FRONT_LEFT
        | Position::BOTTOM_FRONT_LEFT
        | Position::FRONT_LEFT_WIDE;
    let right = Position::FRONT_RIGHT
        | Position::FRONT_RIGHT_CENTER
        | Position::TOP_FRONT_RIGHT
        | Position::BOTTOM_FRONT_RIGHT
        | Position::FRONT_RIGHT_WIDE;
    let surround_left = Position::REAR_LEFT | Position::SIDE_LEFT | Position::TOP_REAR_LEFT | Position::TOP_SIDE_LEFT;
    let surround_right =
        Position::REAR_RIGHT | Position::SIDE_RIGHT | Position::TOP_REAR_RIGHT | Position::TOP_SIDE_RIGHT;
    let roles: Vec<Role> = positions
        .iter()
        .map(|position| match position {
            position if left.contains(position) => Role::Left,
            position if right.contains(position) => Role::Right,
            position if surround_left.contains(position) => Role::SurroundLeft,
            position if surround_right.contains(position) => Role::SurroundRight,
            position if (Position::LFE1 | Position::LFE2).contains(position) => Role::LowFrequency,
            _ => Role::Center,
        })
        .collect();
    if roles.len() == 1 { vec![Role::Center] } else { roles }
}

pub(crate) fn discrete(count: usize) -> Vec<Role> {
    match count {
        1 => vec![Role::Center],
        2 => vec![Role::Left, Role::Right],
        _ => vec![Role::Discrete; count],
    }
}

/// The channel order of Vorbis I (section 4.3.9), which Opus mapping family 1 shares (RFC 7845,
/// section 5.1.1.2).
pub(crate) fn vorbis_order(count: usize) -> Vec<Role> {
    use Role::{Center, Left, LowFrequency, Right, SurroundLeft, SurroundRight};
    match count {
        3 => vec![Left, Center, Right],
        4 => vec![Left, Right, SurroundLeft, SurroundRight],
        5 => vec![Left, Center, Right, SurroundLeft, SurroundRight],
        6 => vec![Left, Center, Right, SurroundLeft, SurroundRight, LowFrequency],
        7 => vec![Left, Center, Right, SurroundLeft, SurroundRight, Center, LowFrequency],
        8 => vec![Left, Center, Right, SurroundLeft, SurroundRight, SurroundLeft, SurroundRight, LowFrequency],
        _ => discrete(count),
    }
}

/// Turns frames of one form into one or two channels.
pub(crate) struct Downmix {
    /// For every output channel, the gain of every input channel; `None` copies.
    gains: Option<Vec<Vec<f32>>>,
    channels: usize,
}

impl Downmix {
    /// Prepares `roles.len()` channels for `outputs` (1 or 2) channels.
    ///
    /// Stereo gains are those of ITU-R BS.775 (centre and surround at -3 dB, no LFE), scaled so
    /// that no sum exceeds full scale. Mono is the mean of those two. Channels without positions
    /// are averaged. Mono becomes two equal channels.
    pub(crate) fn new(roles: &[Role], outputs: usize) -> Self {
        let channels = roles.len();
        if channels == outputs {
            return Self { gains: None, channels };
        }
        let shares = |role: &Role| match role {
            Role::Left => (1.0, 0.0),
            Role::Right => (0.0, 1.0),
            Role::Center => (std::f32::consts::FRAC_1_SQRT_2, std::f32::consts::FRAC_1_SQRT_2),
            Role::SurroundLeft => (std::f32::consts::FRAC_1_SQRT_2, 0.0),
            Role::SurroundRight => (0.0, std::f32::consts::FRAC_1_SQRT_2),
            Role::LowFrequency => (0.0, 0.0),
            Role::Discrete => (1.0, 1.0),
        };
        let mut left: Vec<f32> = roles.iter().map(|role| shares(role).0).collect();
        let mut right: Vec<f32> = roles.iter().map(|role| shares(role).1).collect();
        for side in [&mut left, &mut right] {
            let sum: f32 = side.iter().sum();
            if sum > 0.0 {
                side.iter_mut().for_each(|gain| *gain /= sum);
            }
        }
        let gains = if outputs == 1 {
            vec![left.iter().zip(&right).map(|(left, right)| (left + right) / 2.0).collect()]
        } else {
            vec![left, right]
        };
        Self { gains: Some(gains), channels }
    }

    /// Appends the mixed frames of `samples` to `out`.
    pub(crate) fn append(&self, samples: &[f32], out: &mut Vec<f32>) {
        match &self.gains {
            None => out.extend_from_slice(samples),
            Some(gains) => {
                for frame in samples.chunks_exact(self.channels) {
                    for row in gains {
                        out.push(frame.iter().zip(row).map(|(sample, gain)| sample * gain).sum());
                    }
                }
            }
        }
    }
}
