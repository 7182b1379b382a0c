//! hyper-app
fn main() {}
