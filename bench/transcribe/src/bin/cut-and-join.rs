//! `cut-and-join FILE` cuts a file for a provider that takes 25 MB, invents the transcript of each chunk as densely as
//! people speak, joins them, and prints what each took.

#![allow(clippy::print_stdout)] // Printing is what it does.

use std::error::Error;
use std::fs::File;
use std::ops::ControlFlow::Continue;
use std::time::Instant;

use capstan_audio::{Chunk, CutJob, Cutting, cut};
use capstan_domain::{Offset, Segment, Transcript};
use capstan_transcribe::{Part, join};

/// Of a segment, in milliseconds: ten words, 150 words a minute.
const SEGMENT_MS: u64 = 4_000;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let scratch = tempfile::tempdir()?;
    let job = CutJob { scratch: scratch.path(), longest_ms: 1_400_000, largest_bytes: 25 * 1024 * 1024 };
    let mut chunks = Vec::new();
    let begun = Instant::now();
    let end_ms = cut(file, length, &job, &mut |news| {
        if let Cutting::Chunk(chunk) = news {
            // As whoever has sent it would.
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
        begun.elapsed().as_secs_f64()
    );
    let parts: Vec<_> = chunks.iter().map(said).collect();
    let begun = Instant::now();
    let whole = join(parts);
    println!(
        "joined {} segments, {} words: {:.2} ms",
        whole.segments().len(),
        whole.word_count(),
        begun.elapsed().as_secs_f64() * 1000.0
    );
    Ok(())
}

fn said(chunk: &Chunk) -> Part {
    let segments = (chunk.start_ms..chunk.end_ms).step_by(SEGMENT_MS as usize).map(|at| Segment {
        text: format!("This is what somebody could have said at {at} here."),
        speaker: None,
        start: Offset::from_milliseconds(at - chunk.start_ms),
        end: Offset::from_milliseconds((at + SEGMENT_MS).min(chunk.end_ms) - chunk.start_ms),
        confidence: None,
    });
    let (start, end) = (Offset::from_milliseconds(chunk.start_ms), Offset::from_milliseconds(chunk.end_ms));
    Part { start, end, transcript: Transcript::new(None, end.minus(start), segments.collect()) }
}
