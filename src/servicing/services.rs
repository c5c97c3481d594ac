//! How services start.
//!
//! A service is a key below `HKLM\SYSTEM\CurrentControlSet\Services`: `Start` says when (0 boot, 1 system, 2 auto, 3 manual, 4 disabled), and
//! `DelayedAutostart` = 1 beside `Start` = 2 some minutes later. `ObjectName` is the account, `ImagePath` the command line, `Type` has bit 0 or 1 set
//! for drivers.

use crate::{
    base::name::Name,
    format::hive::{Value, ValueType},
    image::{Image, ImageError, RegistryPath},
};

use super::error::{Problem, ServicingError};

/// What a recipe says of a service. What it does not say stays.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceSpec {
    /// The service's key name: `RemoteRegistry`.
    pub name: String,
    /// When it starts.
    pub start: Option<StartMode>,
    /// The account it runs as: `LocalSystem`, `NT AUTHORITY\LocalService`.
    pub account: Option<String>,
    /// What follows the program on its command line.
    pub arguments: Option<String>,
}

/// When a service starts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum StartMode {
    /// By the boot loader (drivers).
    Boot,
    /// While the kernel starts (drivers).
    System,
    /// At boot.
    Auto,
    /// Some minutes after boot.
    Delayed,
    /// When something asks for it.
    Manual,
    /// Never.
    Disabled,
}

/// A service or driver of an image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InstalledService {
    /// Its key name.
    pub name: String,
    /// When it starts; `None` when its number means nothing.
    pub start: Option<StartMode>,
    /// True for a driver.
    pub driver: bool,
    /// The account it runs as.
    pub account: Option<String>,
    /// Its command line.
    pub program: Option<String>,
    /// The name that is shown, as the hive has it: it may be `@file,-number`.
    pub display_name: Option<String>,
}

/// The services and drivers of an image, in the hive's order.
///
/// # Errors
/// When the SYSTEM hive is missing or damaged.
pub fn inventory(image: &mut Image) -> Result<Vec<InstalledService>, ImageError> {
    let root = RegistryPath::parse(SERVICES).expect("a constant path");
    let mut services = Vec::new();
    for name in image.registry_subkeys(&root)? {
        let (key, Some(text)) = (root.join(&name), name.to_text()) else { continue };
        let values = image.registry_values(&key)?;
        let value = |name: &str| values.iter().find(|value| value.name.is(name));
        // Drivers and services have a Start value; other keys below are settings of something else.
        let Some(start) = value("Start") else { continue };
        let delayed = value("DelayedAutostart").and_then(Value::as_dword) == Some(1);
        let start = match start.as_dword() {
            Some(2) if delayed => Some(StartMode::Delayed),
            number => StartMode::ALL.into_iter().find(|mode| Some(mode.start()) == number),
        };
        let kind = value("Type").and_then(Value::as_dword).unwrap_or(0);
        let of = |name: &str| value(name).and_then(Value::as_text).filter(|text| !text.is_empty());
        services.push(InstalledService {
            name: text,
            start,
            driver: kind & DRIVER_TYPES != 0,
            account: of("ObjectName"),
            program: of("ImagePath"),
            display_name: of("DisplayName"),
        });
    }
    Ok(services)
}

const NAME: &str = "service";
const SERVICES: &str = r"HKLM\SYSTEM\CurrentControlSet\Services";
/// `Type` of kernel and file system drivers, and recognisers.
const DRIVER_TYPES: u32 = 0x1 | 0x2 | 0x8;
/// As similar as `strsim` says two names must be to be offered.
const NEAR: f64 = 0.8;

impl StartMode {
    /// Every mode; of two with one number the plain one comes first.
    pub const ALL: [Self; 6] =
        [Self::Boot, Self::System, Self::Auto, Self::Delayed, Self::Manual, Self::Disabled];

    /// The word of the recipe.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::System => "system",
            Self::Auto => "auto",
            Self::Delayed => "delayed",
            Self::Manual => "manual",
            Self::Disabled => "disabled",
        }
    }

    /// The value of `Start`.
    #[must_use]
    pub fn start(self) -> u32 {
        match self {
            Self::Boot => 0,
            Self::System => 1,
            Self::Auto | Self::Delayed => 2,
            Self::Manual => 3,
            Self::Disabled => 4,
        }
    }
}

impl ServiceSpec {
    pub(super) fn title(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.start.map(|start| start.name().to_owned()));
        parts.extend(self.account.as_ref().map(|account| format!("account {account}")));
        parts.extend(self.arguments.as_ref().map(|arguments| format!("arguments {arguments}")));
        format!("service {}: {}", self.name, parts.join(", "))
    }

    pub(super) fn apply(&self, image: &mut Image) -> Result<(), ServicingError> {
        if let Some(problem) = self.problem(image)? {
            return Err(ServicingError::refused(NAME, problem));
        }
        let key = self.key()?;
        let mut values = Vec::new();
        if let Some(start) = self.start {
            values.push(Value::dword("Start", start.start()));
            if start == StartMode::Delayed {
                values.push(Value::dword("DelayedAutostart", 1));
            } else {
                let delayed = Name::from("DelayedAutostart");
                image.delete_value(&key, &delayed).map_err(|error| self.failed(error))?;
            }
        }
        if let Some(account) = &self.account {
            values.push(Value::sz("ObjectName", account));
        }
        if let Some(arguments) = &self.arguments {
            values.push(self.command_line(image, &key, arguments)?);
        }
        values
            .iter()
            .try_for_each(|value| image.set_value(&key, value))
            .map_err(|error| self.failed(error))
    }

    pub(super) fn check(&self, image: &mut Image) -> Vec<Problem> {
        match self.problem(image) {
            Ok(Some(problem)) => vec![problem],
            Err(error) => vec![error.into_problem()],
            Ok(None) => self.account_warning().into_iter().collect(),
        }
    }

    fn failed(&self, error: ImageError) -> ServicingError {
        ServicingError::image(NAME, &self.name, error)
    }

    fn key(&self) -> Result<RegistryPath, ServicingError> {
        let text = format!("{SERVICES}\\{}", self.name);
        match RegistryPath::parse(&text) {
            Ok(path) if path.keys().len() == 2 => Ok(path),
            _ => Err(ServicingError::refused(
                NAME,
                Problem::error(
                    &self.name,
                    "this is not the name of a service",
                    "write the key name, as `sc query` shows it",
                ),
            )),
        }
    }

    /// What stands against it.
    fn problem(&self, image: &mut Image) -> Result<Option<Problem>, ServicingError> {
        let key = self.key()?;
        if !image.registry_key_exists(&key).map_err(|error| self.failed(error))? {
            return self.unknown(image).map(Some);
        }
        let kind =
            image.registry_value(&key, &"Type".into()).map_err(|error| self.failed(error))?;
        let Some(kind) = kind.and_then(|value| value.as_dword()) else {
            let cause = "its key has no Type: it is not a service";
            return Ok(Some(Problem::error(&self.name, cause, "choose another name")));
        };
        let driver = kind & DRIVER_TYPES != 0;
        let (fits, what, help) = match self.start {
            Some(StartMode::Boot | StartMode::System) => {
                (driver, "only drivers can start with `boot` or `system`", "use `auto`")
            }
            Some(StartMode::Delayed) => (!driver, "a driver cannot start `delayed`", "use `auto`"),
            _ => (true, "", ""),
        };
        if !fits {
            return Ok(Some(Problem::error(&self.name, what, help)));
        }
        if driver && (self.arguments.is_some() || self.account.is_some()) {
            let cause =
                "a driver has neither arguments nor an account: with them it would not load";
            return Ok(Some(Problem::error(&self.name, cause, "take them out")));
        }
        if let Some(arguments) = &self.arguments {
            self.command_line(image, &key, arguments)?;
        }
        Ok(None)
    }

    fn unknown(&self, image: &mut Image) -> Result<Problem, ServicingError> {
        let services = RegistryPath::parse(SERVICES).expect("a constant path");
        let names = image.registry_subkeys(&services).map_err(|error| self.failed(error))?;
        let near = near_names(&self.name, names.iter().filter_map(Name::to_text));
        let help = match near.as_slice() {
            [] => "use the key name (`sc query`, or the service's properties), not the name that is displayed".to_owned(),
            near => format!("did you mean {}?", near.join(", ")),
        };
        Ok(Problem::error(&self.name, "the image has no such service", help))
    }

    /// An account whose password Windows would have to know.
    fn account_warning(&self) -> Option<Problem> {
        let account = self.account.as_ref()?;
        let lower = account.to_lowercase();
        let known = lower == "localsystem"
            || lower.ends_with('$')
            || ["nt authority\\", "nt service\\"].iter().any(|prefix| lower.starts_with(prefix));
        (!known).then(|| {
            Problem::warning(
                &self.name,
                format!("the account `{account}` needs a password, which cannot be set in an image"),
                r"the service will not start until it is set; LocalSystem, NT AUTHORITY\LocalService, NT AUTHORITY\NetworkService and NT SERVICE\... need none",
            )
        })
    }

    /// The command line with other arguments.
    fn command_line(
        &self,
        image: &mut Image,
        key: &RegistryPath,
        arguments: &str,
    ) -> Result<Value, ServicingError> {
        let old =
            image.registry_value(key, &"ImagePath".into()).map_err(|error| self.failed(error))?;
        let Some((kind, text)) = old.and_then(|value| Some((value.kind, value.as_text()?))) else {
            let cause = "it has no ImagePath, so there is nothing to give arguments to";
            return Err(ServicingError::refused(NAME, Problem::error(&self.name, cause, "")));
        };
        let program = program_of(&text);
        let line = match arguments.trim() {
            "" => program.to_owned(),
            arguments => format!("{program} {arguments}"),
        };
        Ok(match kind {
            ValueType::SZ => Value::sz("ImagePath", &line),
            _ => Value::expand_sz("ImagePath", &line),
        })
    }
}

/// The program in a command line, with its quotes: up to the closing quote, else up to the `.exe` or `.sys` that ends a word, else the first word.
fn program_of(line: &str) -> &str {
    let line = line.trim();
    if let Some(rest) = line.strip_prefix('"') {
        return rest.find('"').map_or(line, |end| &line[..end + 2]);
    }
    let lower = line.to_ascii_lowercase();
    for ending in [".exe", ".sys"] {
        for (place, _) in lower.match_indices(ending) {
            let end = place + ending.len();
            if lower[end..].chars().next().is_none_or(char::is_whitespace) {
                return &line[..end];
            }
        }
    }
    line.split_whitespace().next().unwrap_or(line)
}

/// At most three names like `wanted`, the most similar first.
pub(super) fn near_names(wanted: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let plain = |name: &str| name.to_lowercase().replace([' ', '-', '_'], "");
    let wanted = plain(wanted);
    let mut scored: Vec<(f64, String)> = names
        .map(|name| {
            let other = plain(&name);
            let part = wanted.len() >= 4
                && (other.contains(&wanted) || wanted.contains(&other) && other.len() >= 4);
            let likeness = strsim::normalized_damerau_levenshtein(&wanted, &other);
            let likeness = likeness.max(strsim::jaro_winkler(&wanted, &other) - 0.05);
            (if part { likeness.max(NEAR) } else { likeness }, name)
        })
        .filter(|(likeness, _)| *likeness >= NEAR)
        .collect();
    scored.sort_by(|left, right| right.0.total_cmp(&left.0).then_with(|| left.1.cmp(&right.1)));
    scored.truncate(3);
    scored.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_a_command_line_keeps_its_quotes() {
        for (line, program) in [
            (r#""C:\Program Files\x\y.exe" -a "b""#, r#""C:\Program Files\x\y.exe""#),
            (
                r"%SystemRoot%\System32\svchost.exe -k netsvcs -p",
                r"%SystemRoot%\System32\svchost.exe",
            ),
            (r"C:\Program Files\x.exe.d\y.EXE /run", r"C:\Program Files\x.exe.d\y.EXE"),
            (r"system32\drivers\disk.sys", r"system32\drivers\disk.sys"),
            ("rundll foo", "rundll"),
            (r#""unclosed"#, r#""unclosed"#),
            ("", ""),
        ] {
            assert_eq!(program_of(line), program);
        }
    }

    #[test]
    fn near_names_are_offered() {
        let names = ["RemoteRegistry", "RemoteAccess", "W32Time", "wuauserv", "TermService"];
        let near = |wanted| near_names(wanted, names.iter().map(ToString::to_string));
        assert_eq!(near("RemoteRegistri")[0], "RemoteRegistry");
        assert_eq!(near("remote registry")[0], "RemoteRegistry");
        assert_eq!(near("w32tim")[0], "W32Time");
        assert!(near("Spooler").is_empty());
    }
}
