//! Where the rows come from: the generators of TPC-H, over a text that is freed with them.

use tpchgen::distribution::Distributions;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};
use tpchgen::text::TextPool;

/// All tables of one scale.
///
/// The generators' plain constructors share a static text of 300 MB that is never freed: a service that made its data
/// itself would carry it about for good.
pub(crate) struct Source {
    scale: f64,
    text: TextPool,
}

/// The text that comments are cut from, in the size that TPC-H's own generator uses: its comments come out.
const TEXT_BYTES: i32 = 300 * 1024 * 1024;
/// Enough where nobody keeps a comment.
const LITTLE_TEXT_BYTES: i32 = 1024 * 1024;

macro_rules! generators {
    ($($table:ident: $generator:ident),+ $(,)?) => {
        $(pub(crate) fn $table(&self) -> $generator<'_> {
            let words = Distributions::static_default();
            $generator::new_with_distributions_and_text_pool(self.scale, 1, 1, words, &self.text)
        })+
    };
}

impl Source {
    /// Rows as TPC-H's own generator makes them.
    pub(crate) fn new(scale: f64) -> Self {
        Self::with_text(scale, TEXT_BYTES)
    }

    /// The same rows, but for their comments.
    pub(crate) fn without_comments(scale: f64) -> Self {
        Self::with_text(scale, LITTLE_TEXT_BYTES)
    }

    fn with_text(scale: f64, bytes: i32) -> Self {
        let text = TextPool::new(bytes, Distributions::static_default());
        Self { scale, text }
    }

    generators! {
        suppliers: SupplierGenerator,
        parts: PartGenerator,
        customers: CustomerGenerator,
        orders: OrderGenerator,
        lines: LineItemGenerator,
    }

    pub(crate) fn part_suppliers(&self) -> PartSuppGenerator<'_> {
        PartSuppGenerator::new_with_text_pool(self.scale, 1, 1, &self.text)
    }

    // The same at every scale.
    pub(crate) fn regions(&self) -> RegionGenerator<'_> {
        let words = Distributions::static_default();
        RegionGenerator::new_with_distributions_and_text_pool(words, &self.text)
    }

    pub(crate) fn nations(&self) -> NationGenerator<'_> {
        let words = Distributions::static_default();
        NationGenerator::new_with_distributions_and_text_pool(words, &self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tpchgen::generators;

    #[test]
    fn rows_are_those_of_the_generator_and_only_comments_hang_on_the_text() {
        let source = Source::new(0.001);
        let ours: Vec<_> = source
            .orders()
            .iter()
            .take(100)
            .map(|row| row.to_string())
            .collect();
        let theirs = generators::OrderGenerator::new(0.001, 1, 1);
        let theirs: Vec<_> = theirs.iter().take(100).map(|row| row.to_string()).collect();
        assert_eq!(ours, theirs);

        let plain = Source::without_comments(0.001);
        let without_comment = |source: &Source| {
            let lines = source.lines();
            let rows = lines.iter().take(100).map(|mut row| {
                row.l_comment = "";
                row.to_string()
            });
            rows.collect::<Vec<_>>()
        };
        assert_eq!(without_comment(&plain), without_comment(&source));
    }
}
