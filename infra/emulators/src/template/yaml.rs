//! Convert CloudFormation YAML to JSON. A short form such as `!Ref X` becomes its long form `{"Ref": "X"}`.

use saphyr::{LoadableYamlNode, ScalarOwned, YamlOwned};
use serde_json::{Map, Value};

use super::TemplateError;
use super::intrinsics::plain_text;

pub(super) fn parse(text: &str) -> Result<Value, TemplateError> {
    let documents = YamlOwned::load_from_str(text).map_err(|error| TemplateError::Yaml(error.to_string()))?;
    match documents.as_slice() {
        [document] => json(document, ""),
        _ => Err(TemplateError::Yaml("expected exactly one document".to_owned())),
    }
}

fn json(node: &YamlOwned, location: &str) -> Result<Value, TemplateError> {
    Ok(match node {
        YamlOwned::Value(scalar) => scalar_json(scalar),
        YamlOwned::Sequence(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| json(item, &format!("{location}[{index}]")))
            .collect::<Result<_, _>>()?,
        YamlOwned::Mapping(entries) => {
            let mut object = Map::new();
            for (key, value) in entries {
                let YamlOwned::Value(key) = key else {
                    return Err(TemplateError::at(location, "keys must be scalars"));
                };
                let key = plain_text(&scalar_json(key));
                let value = json(value, &format!("{location}.{key}"))?;
                object.insert(key, value);
            }
            Value::Object(object)
        }
        YamlOwned::Tagged(tag, value) => {
            let value = json(value, location)?;
            match (tag.handle.as_str(), tag.suffix.as_str()) {
                ("!", name @ ("Ref" | "Condition")) => Value::Object(Map::from_iter([(name.to_owned(), value)])),
                ("!", name) => Value::Object(Map::from_iter([(format!("Fn::{name}"), value)])),
                _ => return Err(TemplateError::at(location, &format!("unknown tag {tag}"))),
            }
        }
        YamlOwned::Representation(text, ..) => Value::String(text.clone()),
        YamlOwned::Alias(_) | YamlOwned::BadValue => {
            return Err(TemplateError::at(location, "aliases and invalid values are not supported"));
        }
    })
}

fn scalar_json(scalar: &ScalarOwned) -> Value {
    match scalar {
        ScalarOwned::Null => Value::Null,
        ScalarOwned::Boolean(value) => (*value).into(),
        ScalarOwned::Integer(value) => (*value).into(),
        ScalarOwned::FloatingPoint(value) => value.into_inner().into(),
        ScalarOwned::String(value) => value.as_str().into(),
    }
}
