//! Integrated loudness of EBU R128 (ITU-R BS.1770-4).

use ebur128::{Channel, EbuR128, Mode};

use crate::layout::{Form, Role};

pub(crate) struct Loudness(Option<EbuR128>);

impl Loudness {
    pub(crate) fn new(form: &Form) -> Self {
        // The histogram bounds memory whatever the length, at a resolution of 0.1 LU.
        let meter = u32::try_from(form.channels())
            .ok()
            .and_then(|channels| EbuR128::new(channels, form.rate, Mode::I | Mode::HISTOGRAM).ok());
        let Some(mut meter) = meter else { return Self(None) };
        let map: Vec<Channel> = form
            .roles
            .iter()
            .map(|role| match role {
                Role::Left => Channel::Left,
                Role::Right => Channel::Right,
                Role::Center | Role::Discrete => Channel::Center,
                Role::SurroundLeft => Channel::LeftSurround,
                Role::SurroundRight => Channel::RightSurround,
                Role::LowFrequency => Channel::Unused,
            })
            .collect();
        match meter.set_channel_map(&map) {
            Ok(()) => Self(Some(meter)),
            Err(_) => Self(None),
        }
    }

    pub(crate) fn add(&mut self, samples: &[f32]) {
        if let Some(meter) = &mut self.0
            && meter.add_frames_f32(samples).is_err()
        {
            self.0 = None;
        }
    }

    /// LUFS; `None` where no 400 ms block is above the absolute gate of -70 LUFS.
    pub(crate) fn integrated(&self) -> Option<f64> {
        self.0.as_ref().and_then(|meter| meter.loudness_global().ok()).filter(|loudness| loudness.is_finite())
    }
}
