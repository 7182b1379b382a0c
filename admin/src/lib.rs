//! pitcrew-admin
