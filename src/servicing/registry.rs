//! Registry keys, values and `.reg` files.

use std::collections::BTreeSet;

use crate::{
    base::{name::Name, secret::SecretRef},
    format::{
        hive::{Value, ValueType},
        reg_text::{self, RegAction},
    },
    image::{HiveId, Image, RegistryPath, changeset::hex},
};

use super::{
    error::{Problem, ServicingError},
    inputs::{InputId, Inputs, read_file},
};

/// A key and what it shall hold.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct KeySpec {
    /// The key.
    pub path: RegistryPath,
    /// Its state.
    pub action: KeyAction,
}

/// The state of a key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAction {
    /// Not there, nor anything below it.
    Absent,
    /// There, with these values in these states; other values stay.
    Values(Vec<(Name, ValueAction)>),
}

/// The state of a value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueAction {
    /// This type and data.
    Set {
        /// `REG_*`.
        kind: u32,
        /// The data.
        data: Vec<u8>,
    },
    /// `REG_SZ`: a secret, whose value comes when the output is written.
    Secret(SecretRef),
    /// Not there.
    Absent,
}

/// A `.reg` file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileSpec {
    /// The file.
    pub input: InputId,
}

/// The entries of a `.reg` file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedFile {
    entries: Vec<PreparedKey>,
}

/// What a `.reg` file says of a key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct PreparedKey {
    key: String,
    line: usize,
    /// `None`: the key goes, with all below it.
    values: Option<Vec<PreparedValue>>,
}

/// What a `.reg` file says of a value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct PreparedValue {
    name: Name,
    /// `None`: the value goes.
    kind: Option<u32>,
    #[serde(with = "hex")]
    data: Vec<u8>,
}

const NAME: &str = "registry";

impl KeySpec {
    pub(super) fn title(&self) -> String {
        match &self.action {
            KeyAction::Absent => format!("registry {}: absent", self.path),
            KeyAction::Values(values) => {
                format!(
                    "registry {}: {} value{}",
                    self.path,
                    values.len(),
                    if values.len() == 1 { "" } else { "s" }
                )
            }
        }
    }

    pub(super) fn apply(&self, image: &mut Image) -> Result<(), ServicingError> {
        let fail = |source| ServicingError::image(NAME, self.path.text(), source);
        match &self.action {
            KeyAction::Absent => delete(image, &self.path),
            KeyAction::Values(values) => {
                let sets = |(_, action): &(Name, ValueAction)| *action != ValueAction::Absent;
                if values.is_empty() || values.iter().any(sets) {
                    image.create_key(&self.path).map_err(fail)?;
                }
                for (name, action) in values {
                    match action {
                        ValueAction::Set { kind, data } => {
                            let value = Value::new(name.clone(), ValueType(*kind), data.as_slice());
                            image.set_value(&self.path, &value)
                        }
                        ValueAction::Secret(secret) => {
                            image.set_secret(&self.path, name, ValueType::SZ, secret)
                        }
                        ValueAction::Absent => image.delete_value(&self.path, name),
                    }
                    .map_err(fail)?;
                }
                Ok(())
            }
        }
    }

    pub(super) fn check(&self, image: &mut Image) -> Vec<Problem> {
        let root = self.action == KeyAction::Absent && is_vital(&self.path);
        let fail = |source| ServicingError::image(NAME, self.path.text(), source).into_problem();
        match image.registry_key_exists(&self.path) {
            Err(error) => vec![fail(error)],
            Ok(_) if root => vec![vital_problem(&self.path)],
            Ok(_) => Vec::new(),
        }
    }
}

impl FileSpec {
    pub(super) fn prepare(&self, inputs: &dyn Inputs) -> Result<PreparedFile, ServicingError> {
        let bytes = read_file(NAME, inputs, &self.input)?;
        let at = |line: usize, cause: String, help: String| {
            let item = format!("{}:{line}", self.input);
            ServicingError::refused(NAME, Problem::error(item, cause, help))
        };
        let parsed = reg_text::parse(&bytes).map_err(|error| {
            let item = format!("{}:{}:{}", self.input, error.line, error.column);
            ServicingError::refused(NAME, Problem::error(item, error.what, ""))
        })?;
        let mut entries = Vec::new();
        for entry in parsed {
            let path = RegistryPath::parse(&entry.key)
                .map_err(|error| at(entry.line, error.to_string(), error.help))?;
            let values = match entry.action {
                RegAction::DeleteKey if is_vital(&path) => {
                    let problem = vital_problem(&path);
                    return Err(at(entry.line, problem.cause, problem.help));
                }
                RegAction::DeleteKey => None,
                RegAction::Values(values) => Some(values.into_iter().map(prepared_value).collect()),
            };
            entries.push(PreparedKey { key: entry.key, line: entry.line, values });
        }
        Ok(PreparedFile { entries })
    }

    /// The first key of each hive that cannot be opened.
    pub(super) fn check(&self, prepared: &PreparedFile, image: &mut Image) -> Vec<Problem> {
        let mut seen = BTreeSet::new();
        let mut problems = Vec::new();
        for entry in &prepared.entries {
            let Ok(path) = RegistryPath::parse(&entry.key) else { continue };
            if seen.insert(path.hive())
                && let Err(error) = image.registry_key_exists(&path)
            {
                let item = format!("{}:{}: {}", self.input, entry.line, entry.key);
                problems.push(ServicingError::image(NAME, &item, error).into_problem());
            }
        }
        problems
    }

    pub(super) fn apply(
        &self,
        prepared: &PreparedFile,
        image: &mut Image,
    ) -> Result<(), ServicingError> {
        for entry in &prepared.entries {
            let item = format!("{}:{}: {}", self.input, entry.line, entry.key);
            let fail = |source| ServicingError::image(NAME, &item, source);
            let path = RegistryPath::parse(&entry.key).map_err(|error| {
                ServicingError::refused(NAME, Problem::error(&item, error.what, error.help))
            })?;
            let Some(values) = &entry.values else {
                image.delete_key(&path).map_err(fail)?;
                continue;
            };
            image.create_key(&path).map_err(fail)?;
            for value in values {
                match value.kind {
                    Some(kind) => {
                        let value =
                            Value::new(value.name.clone(), ValueType(kind), value.data.as_slice());
                        image.set_value(&path, &value)
                    }
                    None => image.delete_value(&path, &value.name),
                }
                .map_err(fail)?;
            }
        }
        Ok(())
    }
}

fn prepared_value((name, set): reg_text::RegValue) -> PreparedValue {
    match set {
        Some((kind, data)) => PreparedValue { name, kind: Some(kind.0), data },
        None => PreparedValue { name, kind: None, data: Vec::new() },
    }
}

fn delete(image: &mut Image, path: &RegistryPath) -> Result<(), ServicingError> {
    if is_vital(path) {
        return Err(ServicingError::refused(NAME, vital_problem(path)));
    }
    image.delete_key(path).map_err(|source| ServicingError::image(NAME, path.text(), source))
}

/// A hive's root, a control set, or another key without which nothing would start.
fn is_vital(path: &RegistryPath) -> bool {
    let [name] = path.keys() else { return path.keys().is_empty() };
    match path.hive() {
        _ if path.in_current_control_set() => false,
        HiveId::System => {
            name.is("Select") || name.to_upcase().to_string().starts_with("CONTROLSET")
        }
        HiveId::Software => name.is("Classes") || name.is("Microsoft"),
        _ => false,
    }
}

fn vital_problem(path: &RegistryPath) -> Problem {
    let cause = "Windows does not start without this key, so it is not deleted as a whole";
    Problem::error(path.text(), cause, "name a key below it")
}
