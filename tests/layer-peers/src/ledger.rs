pub(crate) fn measure(_: usize, _: usize) -> Vec<f64> { vec![] }
