//! pitcrew-load
