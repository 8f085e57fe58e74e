//! The client's state machine in conversation with a server that the test plays, under a clock that the test moves.

mod authenticate;
mod connect;
mod hostile;
mod keep_alive;
mod peer;
mod publish;
mod receive;
mod requests;
mod resume;
mod simulation;
