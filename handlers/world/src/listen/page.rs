//! Pages: how many at once, and the token that leads on. A token is good for the same question of the same caller only.

use super::answer::{Asked, Refusal};
use crate::draw::Draw;

/// What an answer says about its list: from where, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    from: usize,
    size: usize,
    /// What the question is, as a number.
    about: u64,
}

/// A token that this question did not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrongToken;

impl Page {
    /// The page that `token` leads to; the first one without. `question` is what else was asked: a token of another question is wrong.
    pub fn at(asked: &Asked<'_>, question: &str, size: usize, token: Option<&str>) -> Result<Self, WrongToken> {
        let about = Draw::new(0, asked.call).text(&asked.spoke.account.to_string()).text(asked.spoke.region.as_str()).text(question).value();
        let from = match token.filter(|token| !token.is_empty()) {
            None => 0,
            Some(token) => {
                let (from, seal) = token.split_once('-').ok_or(WrongToken)?;
                let from = usize::from_str_radix(from, 16).map_err(|_| WrongToken)?;
                if seal != sealed(about, from) {
                    return Err(WrongToken);
                }
                from
            }
        };
        Ok(Self { from, size: size.max(1), about })
    }

    /// Whether this is the page that nobody asked for by token.
    pub fn is_first(self, token: Option<&str>) -> bool {
        self.from == 0 && token.is_none_or(str::is_empty)
    }

    /// A page without anything that leads to where this one would have begun, as aggregators answer at times.
    pub fn empty(self) -> String {
        token(self.about, self.from)
    }

    /// The items of this page, and the token of the next one.
    pub fn cut<T>(self, items: Vec<T>) -> (Vec<T>, Option<String>) {
        let end = self.from.saturating_add(self.size);
        let next = (items.len() > end).then(|| token(self.about, end));
        (items.into_iter().skip(self.from).take(self.size).collect(), next)
    }
}

fn sealed(about: u64, from: usize) -> String {
    Draw::new(about, "page").on(u64::try_from(from).unwrap_or(u64::MAX)).hex(16)
}

fn token(about: u64, from: usize) -> String {
    format!("{from:x}-{}", sealed(about, from))
}

/// A page size between `least` and `most`, or `usual` where none is asked for.
pub(super) fn size(asked: Option<i64>, member: &str, (least, usual, most): (i64, usize, i64)) -> Result<usize, Refusal> {
    match asked {
        None => Ok(usual),
        Some(asked) if asked < least => Err(Refusal::constraint(asked, member, format!("Member must have value greater than or equal to {least}"))),
        Some(asked) if asked > most => Err(Refusal::constraint(asked, member, format!("Member must have value less than or equal to {most}"))),
        Some(asked) => Ok(usize::try_from(asked).unwrap_or(usual)),
    }
}
