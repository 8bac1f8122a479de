use std::{collections::BTreeMap, error, fmt, time::Duration};

use http::HeaderName;

use super::Value;

/// A setting that makes no sense.
#[derive(Debug)]
pub(super) struct Invalid {
    field: String,
    value: Option<String>,
    allowed: String,
}

/// Settings by name. Each is taken out by who knows it.
pub(super) struct Table {
    path: String,
    fields: BTreeMap<String, Value>,
    known: Vec<&'static str>,
}

/// One setting, and where it stands.
pub(super) struct Field {
    path: String,
    value: Value,
}

const DURATION: &str = "a duration with its unit, such as \"250ms\" or \"10s\"";
const SWITCH: &str = "true or false";

// === impl Invalid ===

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, allowed } = self;
        match value {
            Some(value) => write!(f, "`{field}` is `{value}`: it should be {allowed}"),
            None => write!(f, "`{field}` {allowed}"),
        }
    }
}

impl error::Error for Invalid {}

// === impl Table ===

impl Table {
    pub(super) fn root(value: Value) -> Result<Self, Invalid> {
        let stack = Field {
            path: "stack".to_owned(),
            value,
        };
        let mut table = stack.table("a table of settings")?;
        table.path.clear();
        Ok(table)
    }

    /// One that says nothing.
    pub(super) const fn empty() -> Self {
        Self {
            path: String::new(),
            fields: BTreeMap::new(),
            known: Vec::new(),
        }
    }

    /// Reads all of it: what nobody took is a mistake.
    pub(super) fn read<T>(mut self, read: impl FnOnce(&mut Self) -> Result<T, Invalid>) -> Result<T, Invalid> {
        let read = read(&mut self)?;
        match self.fields.pop_first() {
            None => Ok(read),
            Some((name, _)) => Err(Invalid {
                field: self.at(&name),
                value: None,
                allowed: format!("is no setting: there are {}", self.known.join(", ")),
            }),
        }
    }

    /// The setting of that name. What is null is not there.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Field> {
        self.known.push(name);
        let value = self.fields.remove(name).filter(|value| *value != Value::Nothing)?;
        Some(Field {
            path: self.at(name),
            value,
        })
    }

    pub(super) fn require(&mut self, name: &'static str) -> Result<Field, Invalid> {
        self.take(name).ok_or_else(|| Invalid {
            field: self.at(name),
            value: None,
            allowed: "is missing, and has no default".to_owned(),
        })
    }

    fn at(&self, name: &str) -> String {
        match &*self.path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }
}

// === impl Field ===

impl Field {
    pub(super) fn invalid(&self, allowed: impl Into<String>) -> Invalid {
        Invalid {
            field: self.path.clone(),
            value: Some(self.value.to_string()),
            allowed: allowed.into(),
        }
    }

    /// Its settings, if it has some.
    pub(super) fn as_table(&self) -> Option<Table> {
        let Value::Table(fields) = &self.value else { return None };
        Some(Table {
            path: self.path.clone(),
            fields: fields.clone(),
            known: Vec::new(),
        })
    }

    pub(super) fn table(&self, allowed: &str) -> Result<Table, Invalid> {
        self.as_table().ok_or_else(|| self.invalid(allowed))
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is on, if it is that which it says.
    pub(super) fn as_switch(&self) -> Option<bool> {
        match &self.value {
            Value::Switch(switch) => Some(*switch),
            // Environments write it in capitals, too. No header is called so.
            Value::Text(text) => text.to_ascii_lowercase().parse().ok(),
            _ => None,
        }
    }

    pub(super) fn switch(&self) -> Result<bool, Invalid> {
        self.as_switch().ok_or_else(|| self.invalid(SWITCH))
    }

    pub(super) fn duration(&self) -> Result<Duration, Invalid> {
        let duration = self.as_text().and_then(|text| humantime::parse_duration(text).ok());
        duration.ok_or_else(|| self.invalid(DURATION))
    }

    /// A whole number, if it is one that fits.
    pub(super) fn as_count<T: TryFrom<i128>>(&self) -> Option<T> {
        let count = match &self.value {
            Value::Whole(count) => *count,
            Value::Text(text) => text.parse().ok()?,
            _ => return None,
        };
        T::try_from(count).ok()
    }

    pub(super) fn count<T: TryFrom<i128>>(&self, allowed: &str) -> Result<T, Invalid> {
        self.as_count().ok_or_else(|| self.invalid(allowed))
    }

    /// A number from `least` to `most`, if it is one.
    pub(super) fn number(&self, least: f64, most: f64) -> Result<f64, Invalid> {
        let number = match &self.value {
            #[expect(clippy::cast_precision_loss, reason = "what is out of range stays out of range")]
            Value::Whole(count) => Some(*count as f64),
            Value::Number(number) => Some(*number),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| self.invalid(format!("a number from {least} to {most}")))
    }

    pub(super) fn header(&self) -> Result<HeaderName, Invalid> {
        let name = self.as_text().and_then(|name| name.parse().ok());
        name.ok_or_else(|| self.invalid("the name of a header"))
    }

    /// One of these words, and what it stands for.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Invalid> {
        let word = self
            .as_text()
            .and_then(|text| words.iter().find(|(word, _)| *word == text));
        word.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.invalid(words.join(" or "))
        })
    }

    pub(super) fn list(self) -> Result<Vec<Self>, Invalid> {
        let Value::List(list) = self.value else {
            return Err(self.invalid("a list"));
        };
        let path = self.path;
        let fields = list.into_iter().enumerate().map(|(index, value)| Self {
            path: format!("{path}[{index}]"),
            value,
        });
        Ok(fields.collect())
    }
}
