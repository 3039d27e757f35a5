//! Every provider by its own protocol, over real HTTP: what is sent, what is made of real answers, and of every fault.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

mod assemblyai;
mod aws;
mod chunks;
mod deepgram;
mod faults;
mod providers;
mod stage;
mod whisper;
