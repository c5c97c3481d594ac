//! What `dism.exe` does for an entry: the same words for the first boot (`/Online`) and for a script on a Windows host (`/Image:...`).
//!
//! Options are those of "DISM Operating System Package Servicing Command-Line Options" and "DISM Capabilities Package Servicing Command-Line Options".

use super::{FeatureSpec, FeatureState, PackageAction, PackageSpec, PackageSubject};

/// What DISM is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DismCommand {
    /// One call: the verb and its options, without the image.
    Call(String),
    /// `/Remove-Package` for every package whose line in `/Get-Packages` is found by these options of `findstr`.
    RemoveEach(String),
}

impl DismCommand {
    /// What an entry of `[packages]`, `[languages]` or `[capabilities]` needs; `source` is where its payload lies, as cmd reads it between quotes.
    #[must_use]
    pub fn of_package(spec: &PackageSpec, source: Option<&str>) -> Self {
        let name = quoted(spec.name());
        match (&spec.subject, &spec.action) {
            (PackageSubject::Capability(_), PackageAction::Present { .. }) => {
                let source = source_option(source);
                Self::Call(format!("/Add-Capability /CapabilityName:{name}{source} /LimitAccess"))
            }
            (PackageSubject::Capability(_), PackageAction::Absent { .. }) => {
                Self::Call(format!("/Remove-Capability /CapabilityName:{name}"))
            }
            (_, PackageAction::Present { .. }) => {
                let source = source.unwrap_or_default();
                Self::Call(format!("/Add-Package /PackagePath:\"{source}\""))
            }
            (PackageSubject::Language(tag), PackageAction::Absent { .. }) => {
                // The packs are called Microsoft-Windows-Client-LanguagePack-Package, -Server-LanguagePack-Package ...
                let pattern = format!("Package Identity : .*LanguagePack-Package~.*~{tag}~");
                Self::RemoveEach(format!("/i /r /c:{}", quoted(&pattern)))
            }
            (PackageSubject::Package(_), PackageAction::Absent { identity, .. }) => {
                match identity.as_deref().unwrap_or_else(|| spec.name()) {
                    id if id.contains('~') => {
                        Self::Call(format!("/Remove-Package /PackageName:{}", quoted(id)))
                    }
                    name => {
                        let line = quoted(&format!("Package Identity : {name}~"));
                        Self::RemoveEach(format!("/i /c:{line}"))
                    }
                }
            }
        }
    }

    /// What an entry of `[features]` needs; `source` as for [`DismCommand::of_package`].
    #[must_use]
    pub fn of_feature(spec: &FeatureSpec, source: Option<&str>) -> Self {
        let name = quoted(&spec.name);
        Self::Call(match spec.state {
            FeatureState::Enabled => {
                let all = if spec.all { " /All" } else { "" };
                let source = source_option(source);
                format!("/Enable-Feature /FeatureName:{name}{all}{source} /LimitAccess")
            }
            FeatureState::Disabled => format!("/Disable-Feature /FeatureName:{name}"),
            FeatureState::Removed => format!("/Disable-Feature /FeatureName:{name} /Remove"),
        })
    }

    /// What is said of the entry: options, or what `findstr` looks for.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Call(text) | Self::RemoveEach(text) => text,
        }
    }

    /// The line that writes the packages of the image to the file `list`, for [`DismCommand::RemoveEach`]. In a file of its own, because the code of a command
    /// inside `for /f` is lost.
    #[must_use]
    pub fn listing(program: &str, image: &str, list: &str) -> String {
        format!("{program} {image} /English /Get-Packages >\"{list}\"")
    }

    /// The line of a command file: `program` is how DISM is called, `image` is `/Online` or `/Image:...`, `list` what [`DismCommand::listing`] wrote, `common`
    /// stands behind every call.
    #[must_use]
    pub fn line(&self, program: &str, image: &str, list: &str, common: &str) -> String {
        match self {
            Self::Call(options) => format!("{program} {image} {options}{common}"),
            Self::RemoveEach(find) => format!(
                "for /f \"tokens=4\" %%p in ('findstr.exe {find} \"{list}\"') do {program} {image} /Remove-Package /PackageName:%%p{common}"
            ),
        }
    }
}

fn source_option(source: Option<&str>) -> String {
    source.map(|source| format!(" /Source:\"{source}\"")).unwrap_or_default()
}

/// `text` between quotes, as cmd reads it in a command file. What no name has is left out.
fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// `text` as it stands between quotes in a command file.
#[must_use]
pub fn escaped(text: &str) -> String {
    let kept = |character: &char| *character != '"' && !character.is_control();
    text.chars().filter(kept).collect::<String>().replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servicing::{InputId, WhenNotNative};

    fn absent(subject: PackageSubject, identity: Option<&str>) -> PackageSpec {
        let action = PackageAction::Absent {
            identity: identity.map(str::to_owned),
            when_not_native: WhenNotNative::Refuse,
        };
        PackageSpec { subject, action }
    }

    fn present(subject: PackageSubject, source: Option<&str>) -> PackageSpec {
        let action = PackageAction::Present {
            source: source.map(|source| InputId(source.to_owned())),
            allow_unsigned: false,
            when_not_native: WhenNotNative::Dism,
        };
        PackageSpec { subject, action }
    }

    #[test]
    fn every_form_has_its_verb() {
        let capability = || PackageSubject::Capability("OpenSSH.Server~~~~0.0.1.0".to_owned());
        let package = || PackageSubject::Package("kb1".to_owned());
        let cases = [
            (
                DismCommand::of_package(&present(package(), Some("x")), Some(r"C:\a b\x.msu")),
                r#"dism /Online /Add-Package /PackagePath:"C:\a b\x.msu" /Quiet"#,
            ),
            (
                DismCommand::of_package(&present(capability(), Some("x")), Some("C:\\fod")),
                r#"dism /Online /Add-Capability /CapabilityName:"OpenSSH.Server~~~~0.0.1.0" /Source:"C:\fod" /LimitAccess /Quiet"#,
            ),
            (
                DismCommand::of_package(&absent(capability(), None), None),
                r#"dism /Online /Remove-Capability /CapabilityName:"OpenSSH.Server~~~~0.0.1.0" /Quiet"#,
            ),
            (
                DismCommand::of_package(&absent(package(), Some("A~b~amd64~~1.0.0.0")), None),
                r#"dism /Online /Remove-Package /PackageName:"A~b~amd64~~1.0.0.0" /Quiet"#,
            ),
            (
                DismCommand::of_package(&absent(package(), Some("A%B")), None),
                r#"for /f "tokens=4" %%p in ('findstr.exe /i /c:"Package Identity : A%%B~" "L"') do dism /Online /Remove-Package /PackageName:%%p /Quiet"#,
            ),
            (
                DismCommand::of_package(
                    &absent(PackageSubject::Language("de-DE".to_owned()), None),
                    None,
                ),
                r#"for /f "tokens=4" %%p in ('findstr.exe /i /r /c:"Package Identity : .*LanguagePack-Package~.*~de-DE~" "L"') do dism /Online /Remove-Package /PackageName:%%p /Quiet"#,
            ),
        ];
        for (command, line) in cases {
            assert_eq!(command.line("dism", "/Online", "L", " /Quiet"), line);
        }
        assert_eq!(
            DismCommand::listing("dism", "/Online", "L"),
            r#"dism /Online /English /Get-Packages >"L""#
        );
    }

    #[test]
    fn features_are_switched() {
        let mut spec = FeatureSpec {
            name: "NetFx3".to_owned(),
            state: FeatureState::Enabled,
            all: true,
            source: None,
            allow_unsigned: false,
            when_not_native: WhenNotNative::Dism,
        };
        let text = |spec: &FeatureSpec, source| {
            DismCommand::of_feature(spec, source).line("dism", "/Online", "", "")
        };
        assert_eq!(
            text(&spec, Some("C:\\sxs")),
            r#"dism /Online /Enable-Feature /FeatureName:"NetFx3" /All /Source:"C:\sxs" /LimitAccess"#
        );
        spec.state = FeatureState::Removed;
        assert_eq!(
            text(&spec, None),
            r#"dism /Online /Disable-Feature /FeatureName:"NetFx3" /Remove"#
        );
    }
}
