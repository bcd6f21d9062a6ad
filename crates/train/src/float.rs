//! Floats in JSON, which knows neither NaN nor infinities: those are written as text.
//!
//! A diverged loss in the history must not make a checkpoint unreadable.

use serde_json::{Value, json};

pub(crate) fn to_json(value: f64) -> Value {
    if value.is_finite() {
        json!(value)
    } else {
        Value::String(value.to_string())
    }
}

pub(crate) fn from_json(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// `#[serde(with)]` for figures by name.
pub(crate) mod logs {
    use std::collections::BTreeMap;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::Value;

    use crate::callback::Logs;

    pub(crate) fn serialize<S: Serializer>(logs: &Logs, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            logs.iter()
                .map(|(name, &value)| (name, super::to_json(value))),
        )
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Logs, D::Error> {
        let figure = |(name, value): (String, Value)| match super::from_json(&value) {
            Some(value) => Ok((name, value)),
            None => Err(D::Error::custom(format!("{name} is {value}, no number"))),
        };
        let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
        values.into_iter().map(figure).collect()
    }
}

/// `#[serde(with)]` for figures in order.
pub(crate) mod several {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::Value;

    pub(crate) fn serialize<S: Serializer>(
        values: &[f64],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|&value| super::to_json(value)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<f64>, D::Error> {
        let number = |value: &Value| {
            super::from_json(value).ok_or_else(|| D::Error::custom(format!("{value} is no number")))
        };
        Vec::<Value>::deserialize(deserializer)?
            .iter()
            .map(number)
            .collect()
    }
}

/// `#[serde(with)]` for a figure that may be absent.
pub(crate) mod optional {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(super::to_json).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<f64>, D::Error> {
        let number = |value| {
            super::from_json(&value)
                .ok_or_else(|| D::Error::custom(format!("{value} is no number")))
        };
        Option::<Value>::deserialize(deserializer)?
            .map(number)
            .transpose()
    }
}
