//! The 22 queries with other parameters: the specification's substitution rules (TPC-H 3.0.1, 2.4.1.3 to 2.4.22.3).

use std::fmt::Write as _;

use pitcrew_stack::{Error, Result};
use tpchgen::distribution::Distributions;

use super::super::choices::Choices;

/// A query with parameters of this seed in the place of the validation parameters.
pub(super) fn with_parameters(name: &str, text: &str, seed: u64) -> Result<String> {
    let number: u64 = name
        .trim_start_matches('q')
        .parse()
        .map_err(|_| Error::Extension(format!("`{name}` is no query's name")))?;
    // Each query has choices of its own, or the first choices of all would be alike.
    let mut choices = Choices::from_seed(seed.wrapping_mul(1_000) + number);
    for _ in 0..8 {
        choices.below(2);
    }
    let mut rules = Rules {
        choices,
        text: text.to_owned(),
        missing: Vec::new(),
    };
    rules.apply(number);
    if !rules.missing.is_empty() {
        return Err(Error::Extension(format!(
            "{name} lacks {}",
            rules.missing.join(", ")
        )));
    }
    Ok(rules.text)
}

struct Rules {
    choices: Choices,
    text: String,
    missing: Vec<String>,
}

impl Rules {
    fn apply(&mut self, query: u64) {
        let words = Distributions::static_default();
        let regions = words.regions().get_values();
        let colors = words.part_colors().get_values();
        let types = words.part_types().get_values();
        let modes = words.ship_modes().get_values();
        let containers = words.part_containers().get_values();
        let nations = words.nations().get_values();
        match query {
            1 => {
                let days = 60 + self.below(61);
                self.put("'1998-09-02'", &before_december(days));
            }
            2 => {
                let size = 1 + self.below(50);
                self.put("p_size = 15", &format!("p_size = {size}"));
                let metal = self.choices.one(types).rsplit(' ').next();
                self.put("BRASS", metal.unwrap_or_default());
                let region = self.choices.one(regions);
                self.put("EUROPE", region);
            }
            3 => {
                let segment = self.choices.one(words.market_segments().get_values());
                self.put("BUILDING", segment);
                let day = 1 + self.below(31);
                self.put("1995-03-15", &format!("1995-03-{day:02}"));
            }
            4 => self.months("1993-07-01", "1993-10-01", (1993, 1), 58, 3),
            5 => {
                let region = self.choices.one(regions);
                self.put("'ASIA'", &format!("'{region}'"));
                self.year();
            }
            6 => {
                self.year();
                let middle = 2 + self.below(8);
                let edges = [
                    ("0.05", format!("0.{:02}", middle - 1)),
                    ("0.07", format!("0.{:02}", middle + 1)),
                ];
                self.put_all(&edges);
                let quantity = 24 + self.below(2);
                self.put("l_quantity < 24", &format!("l_quantity < {quantity}"));
            }
            7 => {
                let two = self.choices.several(nations, 2);
                self.put_all(&[("FRANCE", two[0].into()), ("GERMANY", two[1].into())]);
            }
            8 => {
                let nation = self.below(nations.len());
                self.put("BRAZIL", nations[nation]);
                self.put("'AMERICA'", &format!("'{}'", regions[REGION_OF[nation]]));
                let kind = self.choices.one(types);
                self.put("ECONOMY ANODIZED STEEL", kind);
            }
            9 => {
                let color = self.choices.one(colors);
                self.put("green", color);
            }
            10 => self.months("1993-10-01", "1994-01-01", (1993, 2), 24, 3),
            11 => self.nation("GERMANY", nations),
            12 => {
                let two = self.choices.several(modes, 2);
                self.put_all(&[
                    ("'MAIL'", format!("'{}'", two[0])),
                    ("'SHIP'", format!("'{}'", two[1])),
                ]);
                self.year();
            }
            13 => {
                let first = self
                    .choices
                    .one(&["special", "pending", "unusual", "express"]);
                let second = self
                    .choices
                    .one(&["packages", "requests", "accounts", "deposits"]);
                self.put("special%requests", &format!("{first}%{second}"));
            }
            14 => self.months("1995-09-01", "1995-10-01", (1993, 1), 60, 1),
            15 => self.months("1996-01-01", "1996-04-01", (1993, 1), 58, 3),
            16 => {
                let brand = self.brand();
                self.put("Brand#45", &brand);
                let kind = self.choices.one(types).rsplit_once(' ');
                self.put("MEDIUM POLISHED", kind.map_or("", |(two, _)| two));
                let sizes: Vec<String> = (1..=50).map(|size: u32| size.to_string()).collect();
                let sizes: Vec<&str> = sizes.iter().map(String::as_str).collect();
                let chosen = self.choices.several(&sizes, 8).join(", ");
                self.put("49, 14, 23, 45, 19, 3, 36, 9", &chosen);
            }
            17 => {
                let brand = self.brand();
                self.put("Brand#23", &brand);
                let container = self.choices.one(containers);
                self.put("MED BOX", container);
            }
            18 => {
                let quantity = 312 + self.below(4);
                self.put("> 300", &format!("> {quantity}"));
            }
            19 => {
                let brands: Vec<String> = (0..3).map(|_| self.brand()).collect();
                self.put_all(&[
                    ("Brand#12", brands[0].clone()),
                    ("Brand#23", brands[1].clone()),
                    ("Brand#34", brands[2].clone()),
                ]);
                let (first, second, third) =
                    (1 + self.below(10), 10 + self.below(11), 20 + self.below(11));
                self.put_all(&[
                    ("l_quantity >= 20", format!("l_quantity >= {third}")),
                    ("l_quantity <= 20 +", format!("l_quantity <= {third} +")),
                    ("l_quantity >= 10", format!("l_quantity >= {second}")),
                    ("l_quantity <= 10 +", format!("l_quantity <= {second} +")),
                    ("l_quantity >= 1\n", format!("l_quantity >= {first}\n")),
                    ("l_quantity <= 1 +", format!("l_quantity <= {first} +")),
                ]);
            }
            20 => {
                let color = self.choices.one(colors);
                self.put("forest%", &format!("{color}%"));
                self.year();
                self.nation("CANADA", nations);
            }
            21 => self.nation("SAUDI ARABIA", nations),
            22 => {
                let codes: Vec<String> = (10..35).map(|code: u32| code.to_string()).collect();
                let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
                let mut list = String::new();
                for (position, code) in self.choices.several(&codes, 7).into_iter().enumerate() {
                    let comma = if position == 0 { "" } else { ", " };
                    // Writing to a String cannot fail.
                    let _ = write!(list, "{comma}'{code}'");
                }
                self.put("'13', '31', '23', '29', '30', '18', '17'", &list);
            }
            _ => self.missing.push("a rule".into()),
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.choices.below(end)
    }

    /// `Brand#MN`, both from 1 to 5.
    fn brand(&mut self) -> String {
        format!("Brand#{}{}", 1 + self.below(5), 1 + self.below(5))
    }

    fn nation(&mut self, instead_of: &str, nations: &[&str]) {
        let nation = self.choices.one(nations);
        self.put(&format!("'{instead_of}'"), &format!("'{nation}'"));
    }

    /// The first of January of a year from 1993 to 1997, and a year later.
    fn year(&mut self) {
        let year = 1993 + self.below(5);
        self.put_all(&[
            ("1994-01-01", format!("{year}-01-01")),
            ("1995-01-01", format!("{}-01-01", year + 1)),
        ]);
    }

    /// The first of one of `count` months from `first` on, and `length` months later.
    fn months(
        &mut self,
        start: &str,
        end: &str,
        first: (usize, usize),
        count: usize,
        length: usize,
    ) {
        let from = first.0 * 12 + first.1 - 1 + self.below(count);
        let day = |month: usize| format!("{}-{:02}-01", month / 12, month % 12 + 1);
        self.put_all(&[(start, day(from)), (end, day(from + length))]);
    }

    fn put(&mut self, old: &str, new: &str) {
        self.put_all(&[(old, new.to_owned())]);
    }

    /// All at once: what one puts in must not be what the next looks for.
    fn put_all(&mut self, pairs: &[(&str, String)]) {
        for (position, (old, _)) in pairs.iter().enumerate() {
            if !self.text.contains(old) {
                self.missing.push((*old).to_owned());
            }
            self.text = self.text.replace(old, &marker(position));
        }
        for (position, (_, new)) in pairs.iter().enumerate() {
            self.text = self.text.replace(&marker(position), new);
        }
    }
}

/// A text that no query contains.
fn marker(position: usize) -> String {
    format!("\u{1}{position}\u{2}")
}

/// The region of each nation, in the order of the specification's table of nations.
const REGION_OF: [usize; 25] = [
    0, 1, 1, 1, 4, 0, 3, 3, 2, 2, 4, 4, 2, 4, 0, 0, 0, 1, 2, 3, 4, 2, 3, 3, 1,
];

/// `days` before the first of December 1998, as a literal.
fn before_december(days: usize) -> String {
    // Days of 1998 before each month from August to December.
    let months = [(8, 212), (9, 243), (10, 273), (11, 304), (12, 334)];
    let day = 334 - days;
    let (month, before) = months
        .into_iter()
        .rev()
        .find(|(_, before)| *before <= day)
        .unwrap_or(months[0]);
    format!("'1998-{month:02}-{:02}'", day - before + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_has_its_parameters_and_a_seed_repeats_them() {
        let queries = super::super::tpch::queries(&pitcrew_stack::checkout()).unwrap();
        assert_eq!(queries.len(), 22);
        for (name, text) in &queries {
            let first = with_parameters(name, text, 1).unwrap();
            assert_eq!(first, with_parameters(name, text, 1).unwrap());
            assert!(!first.contains(['\u{1}', '\u{2}']), "{name}: {first}");
            let is_other = (2..30).any(|seed| with_parameters(name, text, seed).unwrap() != first);
            assert!(is_other, "{name} stays the same");
        }
        with_parameters("q23", "", 1).unwrap_err();
        with_parameters("q09", "no colour", 1).unwrap_err();
    }

    #[test]
    fn days_before_december_are_days_of_1998() {
        assert_eq!(before_december(90), "'1998-09-02'");
        assert_eq!(before_december(60), "'1998-10-02'");
        assert_eq!(before_december(120), "'1998-08-03'");
    }

    #[test]
    fn nations_and_regions_are_the_crate_s() {
        let words = Distributions::static_default();
        let (nations, regions) = (words.nations().get_values(), words.regions().get_values());
        assert_eq!(nations.len(), REGION_OF.len());
        let region = |nation: &str| {
            let position = nations.iter().position(|found| *found == nation).unwrap();
            regions[REGION_OF[position]]
        };
        assert_eq!(region("BRAZIL"), "AMERICA");
        assert_eq!(region("GERMANY"), "EUROPE");
        assert_eq!(region("VIETNAM"), "ASIA");
        assert_eq!(region("EGYPT"), "MIDDLE EAST");
        assert_eq!(region("MOROCCO"), "AFRICA");
    }
}
