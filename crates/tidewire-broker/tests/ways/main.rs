//! Every way into a broker: what clients do has the same result on each, and what strangers do harms nobody.

mod abuse;
mod bench;
mod matrix;
mod peer;
mod trust;
