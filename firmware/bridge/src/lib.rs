//! The control protocol of board controllers: codec, host client, and the controller application.
#![no_std]
#![forbid(unsafe_code)]
