//! The parts of HTML reports: the escaper, figures, bars and lines.
//!
//! A report is one file without scripts that loads nothing from elsewhere: its
//! template extends `page.html` and draws with the macros of `parts.html`.

use std::fmt::{self, Write};

use askama::{Template, filters::Escaper};

use super::markup;

/// The escaper of all templates, see `askama.toml`.
#[derive(Clone, Copy, Debug)]
pub struct Html;

impl Escaper for Html {
    fn write_escaped_str<W: Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        markup::write_html(&mut dest, text)
    }
}

/// The text of a template.
pub fn render(template: &impl Template) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail, and none of our values fails to format.
    let _ = template.render_into(&mut text);
    text
}

/// The words after a number: for one, and for any other number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noun(pub(crate) &'static str, pub(crate) &'static str);

impl Noun {
    /// Words that are the same for every number.
    pub(crate) const fn any(words: &'static str) -> Self {
        Self(words, words)
    }

    fn of(self, count: Option<usize>) -> &'static str {
        if count == Some(1) { self.0 } else { self.1 }
    }
}

/// A number on top of a page, with its noun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// The noun that follows the number.
    pub(crate) noun: Noun,
    /// The number; `None` is shown as `unknown`.
    pub(crate) count: Option<usize>,
    /// The condition under which it stands out.
    pub(crate) emphasis: Emphasis,
}

/// The condition under which a figure stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emphasis {
    /// Never.
    Plain,
    /// If it is more than zero.
    AboveZero,
    /// If it is more than zero or unknown.
    UnlessZero,
}

impl Figure {
    /// True if the figure stands out.
    pub(crate) fn is_bad(&self) -> bool {
        match self.emphasis {
            Emphasis::Plain => false,
            Emphasis::AboveZero => self.count > Some(0),
            Emphasis::UnlessZero => self.count != Some(0),
        }
    }

    pub(crate) fn words(&self) -> &'static str {
        self.noun.of(self.count)
    }

    pub(crate) fn shown(&self) -> String {
        self.count
            .map_or_else(|| "unknown".to_owned(), |count| count.to_string())
    }
}

/// A line over the values of runs, the newest last.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The noun that follows the newest value.
    pub(crate) noun: Noun,
    /// The values that are known.
    pub(crate) values: Vec<usize>,
}

impl Line {
    pub(crate) fn listed(&self) -> String {
        let values: Vec<String> = self.values.iter().map(ToString::to_string).collect();
        values.join(", ")
    }

    /// The words for the newest value.
    pub(crate) fn words(&self) -> &'static str {
        self.noun.of(Some(self.last()))
    }

    pub(crate) fn last(&self) -> usize {
        self.values.last().copied().unwrap_or_default()
    }

    /// The points of a polyline in a box of 200 by 40.
    pub(crate) fn points(&self) -> String {
        let most = self.values.iter().copied().max().unwrap_or_default().max(1);
        let last = self.values.len().saturating_sub(1).max(1);
        let point = |(index, value): (usize, &usize)| {
            format!("{},{}", index * 200 / last, 38 - value * 36 / most)
        };
        let points: Vec<String> = self.values.iter().enumerate().map(point).collect();
        points.join(" ")
    }
}

/// A bar of shares. The name of a share is its CSS class too.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    /// The shares in their order.
    pub(crate) shares: Vec<(&'static str, usize)>,
    /// The number that the full length of the bar stands for.
    pub(crate) total: usize,
}

/// A share as it is drawn, in thousandths of the bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) class: &'static str,
    pub(crate) x: usize,
    pub(crate) width: usize,
}

impl Bar {
    pub(crate) fn listed(&self) -> String {
        let shares = self.shares.iter().filter(|(_, count)| *count > 0);
        let listed: Vec<String> = shares
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        listed.join(", ")
    }

    pub(crate) fn slices(&self) -> Vec<Slice> {
        let mut x = 0;
        let mut slices = Vec::new();
        for &(class, count) in &self.shares {
            // One of many can still be seen.
            let width = (count * 1_000 / self.total.max(1)).max(usize::from(count > 0));
            if width > 0 {
                slices.push(Slice { class, x, width });
            }
            x += width;
        }
        slices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_many_can_be_seen_in_a_bar() {
        let bar = Bar {
            shares: vec![("On", 1), ("Off", 0), ("NotListed", 9_999)],
            total: 10_000,
        };
        let widths: Vec<usize> = bar.slices().iter().map(|slice| slice.width).collect();
        assert_eq!(widths, [1, 999]);
        assert_eq!(bar.listed(), "On 1, NotListed 9999");
    }

    #[test]
    fn an_unknown_number_stands_out_only_where_zero_would_be_good_news() {
        let figure = |count, emphasis| Figure {
            noun: Noun("host", "hosts"),
            count,
            emphasis,
        };
        assert!(figure(None, Emphasis::UnlessZero).is_bad());
        assert!(!figure(None, Emphasis::AboveZero).is_bad());
        assert!(!figure(Some(1), Emphasis::Plain).is_bad());
        assert_eq!(figure(None, Emphasis::Plain).shown(), "unknown");
    }

    #[test]
    fn a_line_of_one_value_is_a_point() {
        let line = Line {
            noun: Noun("host", "hosts"),
            values: vec![3],
        };
        assert_eq!(line.points(), "0,2");
    }
}
