//! Who gets a message: the indexes of filters and topics, and the cache of their answers.

pub mod filter_tree;
pub mod interest;
pub(crate) mod routes;
pub(crate) mod subscribers;
pub mod topic_tree;
pub mod workers;
