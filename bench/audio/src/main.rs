//! `process-audio [--transcription] FILE...` runs [`capstan_audio::process`] on each file like the deployed function and
//! prints the results. Renditions go to a temporary directory.

#![allow(clippy::print_stdout, reason = "the program prints its results")]

use std::error::Error;
use std::fs::File;
use std::time::Duration;

use capstan_audio::{Job, TranscriptionRendition, process};

fn main() -> Result<(), Box<dyn Error>> {
    let mut transcription = TranscriptionRendition::WhenNeeded;
    for argument in std::env::args().skip(1) {
        if argument == "--transcription" {
            transcription = TranscriptionRendition::Always;
            continue;
        }
        let scratch = tempfile::tempdir()?;
        let file = File::open(&argument)?;
        let length = file.metadata()?.len();
        let job = Job { scratch: scratch.path(), longest: Duration::MAX, transcription };
        match process(file, length, &job, &mut |_| std::ops::ControlFlow::Continue(())) {
            Ok(done) => {
                let analysis = &done.analysis;
                print!(
                    "{argument}: {} ms, {}, {} Hz, {} ch, {:?} LUFS",
                    analysis.duration_ms,
                    analysis.codec.as_str(),
                    analysis.sample_rate_hz,
                    analysis.channels,
                    analysis.loudness_lufs
                );
                for rendition in &done.renditions {
                    print!(", {} {} B", rendition.kind.as_str(), rendition.size_bytes);
                }
                println!();
            }
            Err(error) => println!("{argument}: {error}"),
        }
    }
    Ok(())
}
