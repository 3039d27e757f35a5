//! `cut-and-join FILE` cuts a file into chunks for a provider with a limit of 25 MB, generates a transcript for each chunk
//! at the rate of natural speech, joins the transcripts, and prints the duration of each step.

#![allow(clippy::print_stdout, reason = "the program prints its results")]

use std::error::Error;
use std::fs::File;
use std::ops::ControlFlow::Continue;
use std::time::Instant;

use capstan_audio::{Chunk, CutJob, Cutting, cut};
use capstan_domain::{Offset, Segment, Transcript};
use capstan_transcribe::{Part, join};

/// Duration of a segment in milliseconds: ten words at 150 words per minute.
const SEGMENT_MS: u64 = 4_000;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: cut-and-join FILE")?;
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let scratch = tempfile::tempdir()?;
    let job = CutJob { scratch: scratch.path(), longest_ms: 1_400_000, largest_bytes: 25 * 1024 * 1024 };
    let mut chunks = Vec::new();
    let started = Instant::now();
    let end_ms = cut(file, length, &job, &mut |progress| {
        if let Cutting::Chunk(chunk) = progress {
            // The function also deletes each chunk once it has been sent.
            let _ = std::fs::remove_file(&chunk.path);
            chunks.push(chunk);
        }
        Continue(())
    })?;
    let bytes: u64 = chunks.iter().map(|chunk| chunk.size_bytes).sum();
    let overlaps = chunks.windows(2).filter(|pair| pair[1].start_ms < pair[0].end_ms).count();
    println!(
        "cut {:.2} h into {} chunks, {} MB, {overlaps} overlaps: {:.2} s",
        end_ms as f64 / 3_600_000.0,
        chunks.len(),
        bytes / 1_000_000,
        started.elapsed().as_secs_f64()
    );
    let parts: Vec<_> = chunks.iter().map(generated_transcript).collect();
    let started = Instant::now();
    let whole = join(parts);
    println!(
        "joined {} segments, {} words: {:.2} ms",
        whole.segments().len(),
        whole.word_count(),
        started.elapsed().as_secs_f64() * 1000.0
    );
    Ok(())
}

fn generated_transcript(chunk: &Chunk) -> Part {
    let segments = (chunk.start_ms..chunk.end_ms).step_by(SEGMENT_MS as usize).map(|at| Segment {
        text: format!("These are the ten words of the segment starting at {at}."),
        speaker: None,
        start: Offset::from_milliseconds(at - chunk.start_ms),
        end: Offset::from_milliseconds((at + SEGMENT_MS).min(chunk.end_ms) - chunk.start_ms),
        confidence: None,
    });
    let (start, end) = (Offset::from_milliseconds(chunk.start_ms), Offset::from_milliseconds(chunk.end_ms));
    Part { start, end, transcript: Transcript::new(None, end.minus(start), segments.collect()) }
}
