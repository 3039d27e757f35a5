//! Whole files through the crate's public functions.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cutting;
mod fixtures;
mod harness;
mod ogg_pages;
mod recorders;
mod renditions;
mod robustness;
