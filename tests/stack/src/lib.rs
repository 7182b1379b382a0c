//! pitcrew-stack
