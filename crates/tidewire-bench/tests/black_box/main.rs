//! The crate from outside: against a broker in this process, and as a program.

mod command;
mod fake_broker;
mod scenarios;
