//! Capstan on one machine: the deployed stack of `template.yaml` in one process, for people and for tests.

pub mod bus;
pub mod cli;
pub mod client;
pub mod data_dir;
pub mod demo;
pub mod deploy_check;
mod file_type;
pub mod first_run;
pub mod functions;
mod gateway;
pub mod keys;
pub mod lambda;
pub mod local_env;
pub mod openapi;
pub mod pattern;
mod payload;
mod progress;
pub mod providers;
mod routes;
pub mod serve;
mod stack;
mod throttle;
mod upload;

pub use stack::{MadeFunctions, MakeFunctions, Options, Stack, StackError};
