//! From the text of an INF to what it says for one Windows.
//!
//! Every section is looked for in the INF that names it, then in the package's INF, then in the INFs of the image that `Include` names. `Needs` appends
//! sections after a section's own lines. A budget on what is read ends sections that refer to each other without end.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::document::{Inf, Line, Section, fold, same};
use super::error::{InfCause, InfError};
use super::files::Places;
use super::install::{class_install, install};
use super::model::{DriverInf, FileCopy, Model, PackageFile, Target, Unsupported};
use super::models::{choose, manufacturers};
use super::strings::Strings;
use super::version::version_with;

/// What the lines read may weigh together, in bytes; sections that several others name count every time.
const MOST_READ: u64 = 256 << 20;
/// Most INFs of the image that are read for one package.
const MOST_INCLUDES: usize = 256;
/// The setup class of printers.
const PRINTERS: &str = "{4d36e979-e325-11ce-bfc1-08002be10318}";

/// Where the INFs that `Include` names are found: those in the image's `Windows\INF`.
pub trait Includes {
    /// The INF called `name` (lower case, without a path); `None` when the image has none.
    fn inf(&self, name: &str) -> Option<Arc<Inf>>;
}

/// No INF to include.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoIncludes;

impl Includes for NoIncludes {
    fn inf(&self, _name: &str) -> Option<Arc<Inf>> {
        None
    }
}

/// An INF in which sections are looked for.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) inf: &'a Inf,
    /// Its name in lower case; empty for the package's own.
    pub(super) name: String,
    pub(super) strings: Strings<'a>,
    pub(super) places: Places<'a>,
}

/// A line, and the index of its INF among the scopes.
pub(super) type Placed<'a> = (usize, Line<'a>);

/// What all sections share while they are read.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) scopes: &'a [Scope<'a>],
    pub(super) target: &'a Target,
    files: BTreeMap<String, PackageFile>,
    unsupported: Vec<Unsupported>,
    missing_includes: Vec<(String, u32)>,
    missing_sections: Vec<(String, u32)>,
    read: u64,
}

/// What `inf` says for `target`.
///
/// An INF that is for other targets alone gives no models; that is not an error.
///
/// # Errors
///
/// What [`super::version`] refuses, and in the sections that the target needs: malformed numbers, GUIDs, registry data and paths, files
/// without a folder, services without a section, and sections that refer to each other without end.
pub fn resolve(inf: &Inf, target: &Target, includes: &dyn Includes) -> Result<DriverInf, InfError> {
    inf.check()?;
    let included = load_includes(inf, includes);
    let scope = |name: &str, inf| {
        let strings = Strings::new(inf, target.language);
        let places = Places::new(inf, &strings, target.architecture);
        Scope { inf, name: name.to_owned(), strings, places }
    };
    let mut scopes = vec![scope("", inf)];
    scopes.extend(included.iter().map(|(name, inf)| scope(name, inf)));
    let version = version_with(inf, target.architecture, &scopes[0].strings)?;
    let mut context = Context {
        scopes: &scopes,
        target,
        files: BTreeMap::new(),
        unsupported: Vec::new(),
        missing_includes: Vec::new(),
        missing_sections: Vec::new(),
        read: 0,
    };
    let (models, strings) = models(&mut context)?;
    let mut installs = Vec::new();
    let mut seen = HashSet::new();
    for model in &models {
        if seen.insert(fold(&model.install)) {
            installs.push(install(&mut context, &model.install, model.line)?);
        }
    }
    let class_registry = class_install(&mut context)?;
    whole_package(&mut context, &version.class_guid.to_string());
    context.within_budget()?;
    let listed_files = scopes[0].places.listed(&scopes[0].strings)?;
    Ok(DriverInf {
        version,
        models,
        installs,
        strings: strings.into_iter().collect(),
        unsupported: sorted(context.unsupported, |a| (a.line, a.what.clone())),
        listed_files,
        missing_includes: sorted(context.missing_includes, Clone::clone),
        missing_sections: sorted(context.missing_sections, Clone::clone),
        class_registry,
        files: sorted(context.files.into_values().collect(), |file| file.path.clone()),
    })
}

/// `items` in the order of their keys, each once.
fn sorted<T: PartialEq, K: Ord>(mut items: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    items.sort_by_cached_key(key);
    items.dedup();
    items
}

/// Every INF that `inf` and those it includes name, that there is.
fn load_includes(inf: &Inf, includes: &dyn Includes) -> Vec<(String, Arc<Inf>)> {
    let mut found: Vec<(String, Arc<Inf>)> = Vec::new();
    let mut asked = HashSet::new();
    let mut names = included_names(inf);
    let mut next = 0;
    loop {
        for name in names {
            if found.len() < MOST_INCLUDES
                && asked.len() < 4 * MOST_INCLUDES
                && asked.insert(name.clone())
            {
                found.extend(includes.inf(&name).map(|inf| (name, inf)));
            }
        }
        let Some((_, inf)) = found.get(next) else { return found };
        names = included_names(inf);
        next += 1;
    }
}

fn included_names(inf: &Inf) -> Vec<String> {
    inf.sections()
        .flat_map(|section| section.lines())
        .filter(|line| line.key().is_some_and(|key| same(key, "Include")))
        .flat_map(|line| line.values())
        .map(str::to_lowercase)
        .collect()
}

/// The models for the target, and the tokens they use.
fn models(context: &mut Context<'_>) -> Result<(Vec<Model>, BTreeMap<String, String>), InfError> {
    let scope = &context.scopes[0];
    let strings = &scope.strings;
    let (mut models, mut tokens) = (Vec::new(), BTreeMap::new());
    for (entry, manufacturer, base) in manufacturers(scope.inf) {
        context.charge(&entry)?;
        let decorations: Vec<String> =
            entry.values().skip(1).map(|text| strings.expand(text)).collect();
        let Some(name) = choose(&strings.expand(base), &decorations, context.target) else {
            continue;
        };
        let Some(section) = scope.inf.section(&name) else {
            // `[Models]` of x86 is named by every entry, wanted or not.
            if !decorations.is_empty() && name.len() > base.len() {
                context.missing_sections.push((name, entry.number()));
            }
            continue;
        };
        tokens.extend(strings.tokens(manufacturer));
        for line in section.lines() {
            context.charge(&line)?;
            let (Some(description), install) = (line.key(), strings.expand(line.value(0))) else {
                continue;
            };
            if install.is_empty() {
                continue;
            }
            tokens.extend(strings.tokens(description));
            let compatible_ids = line.values().skip(2).map(|id| strings.expand(id));
            models.push(Model {
                description_token: as_token(description),
                description: strings.expand(description),
                manufacturer_token: as_token(manufacturer),
                manufacturer: strings.expand(manufacturer),
                install: context.decorated(&install),
                hardware_id: strings.expand(line.value(1)),
                compatible_ids: compatible_ids.filter(|id| !id.is_empty()).collect(),
                line: line.number(),
            });
        }
    }
    Ok((models, tokens))
}

/// `text`, lower case when it is one `%token%`.
fn as_token(text: &str) -> String {
    let inner = text.strip_prefix('%').and_then(|text| text.strip_suffix('%'));
    match inner {
        Some(token) if !token.is_empty() && !token.contains('%') => text.to_lowercase(),
        _ => text.to_owned(),
    }
}

/// Notes what makes the package as a whole one that is not done natively.
fn whole_package(context: &mut Context<'_>, class: &str) {
    let scope = &context.scopes[0];
    if class == PRINTERS {
        context.unsupported.push(Unsupported { what: "printer driver".to_owned(), line: 1 });
    }
    if scope.inf.section("Manufacturer").is_none() {
        let name = context.decorated("DefaultInstall");
        if let Some(section) = scope.inf.section(&name) {
            let what = "DefaultInstall (a driver without devices)".to_owned();
            context.unsupported.push(Unsupported { what, line: section.number() });
        }
    }
}

impl<'a> Context<'a> {
    /// The section of the package that `name` stands for on the target: `.NT<architecture>` before `.NT` before bare. The name as given when there is none.
    pub(super) fn decorated(&self, name: &str) -> String {
        let inf = self.scopes[0].inf;
        let exact = format!("{name}.NT{}", self.target.architecture.name());
        [exact, format!("{name}.NT")]
            .iter()
            .find_map(|name| inf.section(name))
            .map_or_else(|| name.to_owned(), |section| section.name().to_owned())
    }

    /// Counts a line that is read.
    pub(super) fn charge(&mut self, line: &Line<'_>) -> Result<(), InfError> {
        self.read += line.weight();
        if self.read > MOST_READ {
            return Err(line.error(InfCause::TooMuch));
        }
        self.within_budget()
    }

    /// Counts a section that is read as a whole by another room.
    pub(super) fn charge_section(&mut self, section: Section<'_>) -> Result<(), InfError> {
        section.lines().try_for_each(|line| self.charge(&line))
    }

    fn within_budget(&self) -> Result<(), InfError> {
        if self.scopes.iter().any(|scope| scope.strings.exhausted(0)) {
            return Err(InfError::whole(InfCause::TooMuch));
        }
        Ok(())
    }

    /// The section `name` as the INF at `scope` sees it.
    pub(super) fn find(&self, scope: usize, name: &str) -> Option<(usize, Section<'a>)> {
        let scopes = self.scopes;
        let own = scopes[scope].inf.section(name).map(|section| (scope, section));
        own.or_else(|| {
            scopes.iter().enumerate().find_map(|(at, other)| Some((at, other.inf.section(name)?)))
        })
    }

    /// [`Context::find`]; a section that is nowhere is noted.
    pub(super) fn find_or_note(
        &mut self,
        placed: &Placed<'a>,
        name: &str,
    ) -> Option<(usize, Section<'a>)> {
        let found = self.find(placed.0, name);
        if found.is_none() {
            self.note_missing(name, placed.1.number());
        }
        found
    }

    /// Notes that the section `name` is nowhere.
    pub(super) fn note_missing(&mut self, name: &str, line: u32) {
        self.missing_sections.push((name.to_owned(), line));
    }

    /// True when an INF that is not there may hold what is looked for.
    pub(super) fn includes_are_missing(&self) -> bool {
        !self.missing_includes.is_empty()
    }

    /// Notes something that is not done natively.
    pub(super) fn unsupported(&mut self, scope: usize, what: &str, line: u32) {
        let name = &self.scopes[scope].name;
        let what = if name.is_empty() { what.to_owned() } else { format!("{what} (of {name})") };
        self.unsupported.push(Unsupported { what, line });
    }

    /// Adds a file that the package must have.
    pub(super) fn need_file(&mut self, copy: &FileCopy, line: u32) {
        let file = || PackageFile { path: copy.from.clone(), line };
        self.files.entry(fold(&copy.from)).or_insert_with(file);
    }

    /// The names of the INFs of a list of lines that `Include` was read from go to `included`; the lines of the section `name` and of all that it `Needs` come
    /// back, its own first. A section that is not there gives nothing.
    pub(super) fn lines(
        &mut self,
        scope: usize,
        name: &str,
        included: &mut Vec<String>,
    ) -> Result<Vec<Placed<'a>>, InfError> {
        let mut lines = Vec::new();
        let mut seen = HashSet::new();
        let mut todo: Vec<(usize, Section<'a>)> = self.find(scope, name).into_iter().collect();
        while let Some((scope, section)) = todo.pop() {
            if !seen.insert((scope, fold(section.name()))) {
                continue;
            }
            let mut needed = Vec::new();
            for line in section.lines() {
                self.charge(&line)?;
                let key = line.key().unwrap_or_default();
                let strings = &self.scopes[scope].strings;
                if same(key, "Include") {
                    for name in line.values().filter(|name| !name.is_empty()) {
                        self.include(&strings.expand(name).to_lowercase(), &line, included);
                    }
                } else if same(key, "Needs") {
                    for name in line.values().filter(|name| !name.is_empty()) {
                        needed.extend(self.find_or_note(&(scope, line), &strings.expand(name)));
                    }
                } else {
                    lines.push((scope, line));
                }
            }
            todo.extend(needed.into_iter().rev());
        }
        Ok(lines)
    }

    fn include(&mut self, name: &str, line: &Line<'a>, included: &mut Vec<String>) {
        if !self.scopes.iter().skip(1).any(|scope| scope.name == name) {
            self.missing_includes.push((name.to_owned(), line.number()));
        }
        if !included.iter().any(|known| known == name) {
            included.push(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::inf::{InfArchitecture, RegistryAction};
    use proptest::prelude::*;

    const HEAD: &str = "[Version]\nSignature=\"$Windows NT$\"\nClass=System\nClassGuid={4D36E97D-E325-11CE-BFC1-08002BE10318}\n\
        [Manufacturer]\n%Mfg%=M,NTamd64\n[Strings]\nMfg=\"Maker\"\nDev.Desc=\"Device\"\nSvc=\"Service\"\n";

    fn target() -> Target {
        Target {
            architecture: InfArchitecture::Amd64,
            version: (10, 0),
            build: 26100,
            product_type: Some(1),
            language: 0x409,
        }
    }

    struct One(&'static str, Arc<Inf>);

    impl Includes for One {
        fn inf(&self, name: &str) -> Option<Arc<Inf>> {
            (name == self.0).then(|| self.1.clone())
        }
    }

    fn read(body: &str) -> Result<DriverInf, InfError> {
        resolve(&Inf::parse(format!("{HEAD}{body}").as_bytes()).unwrap(), &target(), &NoIncludes)
    }

    #[test]
    fn a_whole_driver() {
        let found = read(
            "[M.NTamd64]\n%Dev.Desc%=I,PCI\\VEN_1,PCI\\CC_1,PCI\\CC_2\n[I]\nCopyFiles=wrong\n[I.nt]\nCopyFiles=C,@b.dll\nAddReg=R\nFeatureScore=F9\nReboot\nDelFiles=D\n\
             [I.NT.HW]\nAddReg=H\nDelReg=H2\n[I.NT.Services]\nAddService=svc,2,S,E\nAddService=,2\n\
             [S]\nDisplayName=%Svc%\nServiceType=1\nStartType=0x3\nErrorControl=1\nServiceBinary=%12%\\a.sys\nDependencies=x,+y\nAddReg=SR\nLoadOrderGroup=G\nBootFlags=8\n\
             [SR]\nHKR,Parameters,P,0x10001,5\n[E]\nAddReg=ER\n[ER]\nHKR,,TypesSupported,0x10001,7\n\
             [R]\nHKR,,Soft,,1\n[H]\nHKR,,Hard,,1\n[H2]\nHKR,,Old\n[C]\na.sys,a64.sys,,2\n[DestinationDirs]\nDefaultDestDir=11\nC=12\n[SourceDisksFiles]\na64.sys=1,x64\nb.dll=1\nextra.txt=1\n",
        )
        .unwrap();
        assert_eq!(found.models.len(), 1);
        let model = &found.models[0];
        assert_eq!(
            (model.description_token.as_str(), model.description.as_str()),
            ("%dev.desc%", "Device")
        );
        assert_eq!((model.manufacturer_token.as_str(), model.install.as_str()), ("%mfg%", "I.nt"));
        assert_eq!(model.compatible_ids, ["PCI\\CC_1", "PCI\\CC_2"]);
        let install = &found.installs[0];
        assert!(install.reboot && install.feature_score == 0xf9);
        let copies: Vec<String> = install
            .copies
            .iter()
            .map(|c| format!("{}>{}\\{}:{}", c.from, c.to.dirid, c.to.path, c.flags))
            .collect();
        assert_eq!(copies, ["x64\\a64.sys>12\\a.sys:2", "b.dll>11\\b.dll:0"]);
        assert_eq!(install.driver_registry[0].name, "Soft");
        assert_eq!(install.device_registry[1].action, RegistryAction::DeleteValue);
        let service = &install.services[0];
        assert_eq!(
            (service.start_type, service.display_name.as_deref(), service.display_text.as_deref()),
            (3, Some("%Svc%"), Some("Service"))
        );
        assert_eq!(
            (service.dependencies.len(), service.boot_flags, service.registry.len()),
            (2, Some(8), 1)
        );
        assert_eq!(service.event_log.as_ref().unwrap().0, "svc");
        assert_eq!((install.services[1].name.as_str(), install.services[1].flags), ("", 2));
        let paths =
            |files: &[PackageFile]| files.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
        assert_eq!(paths(&found.files), ["b.dll", "x64\\a64.sys"]);
        assert_eq!(paths(&found.listed_files), ["b.dll", "extra.txt", "x64\\a64.sys"]);
        assert_eq!(
            found.strings,
            [("dev.desc".into(), "Device".into()), ("mfg".into(), "Maker".into())]
        );
        assert_eq!(
            found.unsupported.iter().map(|u| u.what.as_str()).collect::<Vec<_>>(),
            ["DelFiles"]
        );
    }

    #[test]
    fn sections_of_the_image_are_needed() {
        let inbox = "[Version]\n[Base]\nAddReg=BaseReg\nNeeds=Base2\nCopyFiles=BaseCopy\n[Base2]\nNeeds=Base\nFeatureScore=80\n[BaseReg]\nHKR,,%T%,,x\n[BaseCopy]\nin.sys\n\
            [DestinationDirs]\nBaseCopy=12\n[Strings]\nT=\"name\"\n[Base.Services]\nAddService=in,2,InService\n[InService]\nServiceType=1\nServiceBinary=%12%\\in.sys\n";
        let body = "[M.NTamd64]\nx=I,a\n[I]\nAddReg=Own\nInclude=Base.inf\nNeeds=Base\nAddReg=Own2\n[Own]\nHKR,,1\n[Own2]\nHKR,,2\n[I.Services]\nInclude=base.inf,none.inf\nNeeds=Base.Services,Gone\n";
        let inf = Inf::parse(format!("{HEAD}{body}").as_bytes()).unwrap();
        let one = One("base.inf", Arc::new(Inf::parse(inbox.as_bytes()).unwrap()));
        let found = resolve(&inf, &target(), &one).unwrap();
        let install = &found.installs[0];
        let names: Vec<&str> = install.driver_registry.iter().map(|l| l.name.as_str()).collect();
        assert_eq!(names, ["1", "2", "name"]);
        assert_eq!(
            (install.feature_score, install.included_copies[0].0.as_str()),
            (0x80, "base.inf")
        );
        assert!(install.copies.is_empty() && found.files.is_empty());
        assert_eq!(install.included_infs, ["base.inf", "none.inf"]);
        assert_eq!(install.services[0].name, "in");
        assert_eq!(
            found.missing_includes.iter().map(|m| m.0.as_str()).collect::<Vec<_>>(),
            ["none.inf"]
        );
        assert_eq!(
            found.missing_sections.iter().map(|m| m.0.as_str()).collect::<Vec<_>>(),
            ["Gone"]
        );
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_its_line() {
        // `[I]` is line 13.
        for (body, want) in [
            (
                "[I.Services]\nAddService=s,2,S\n",
                "line 15: the service `s` has its settings in [S]",
            ),
            (
                "CopyFiles=@..\\x\n[DestinationDirs]\nDefaultDestDir=12\n",
                "line 14: `\\..\\x` leads out",
            ),
            (
                "CopyFiles=@x\n[DestinationDirs]\nDefaultDestDir=12,C:\n",
                "line 14: `C:\\x` holds a colon",
            ),
            ("CopyFiles=@x\n", "line 14: [DestinationDirs] names no folder"),
            ("FeatureScore=1FF\n", "line 14: `1FF` is not a number"),
            ("[I.Interfaces]\nAddInterface={x}\n", "line 15: `{x}` is not a GUID"),
            ("AddReg=R\n[R]\nHKEY,a\n", "line 16: `HKEY` is not a registry root"),
        ] {
            let error = read(&format!("[M.NTamd64]\nx=I,a\n[I]\n{body}")).unwrap_err().to_string();
            assert!(error.starts_with(want), "{error} / {want}");
        }
    }

    #[test]
    fn sections_that_multiply_are_given_up() {
        let models: String = (0..3000).map(|n| format!("x=I{n},a\n")).collect();
        let installs: String = (0..3000).map(|n| format!("[I{n}]\nAddReg=R\n")).collect();
        let lines = "HKR,,a,,b\n".repeat(3000);
        let error = read(&format!("[M.NTamd64]\n{models}{installs}[R]\n{lines}")).unwrap_err();
        assert_eq!(error.cause, InfCause::TooMuch);
    }

    proptest! {
        #[test]
        fn any_body_resolves_or_is_refused(parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "[M.NTamd64]\n", "x=I,a\n", "[I]\n", "[I.Services]\n", "AddService=s,2,I\n", "AddReg=I,R\n", "[R]\n", "HKR,a,b,", "%Mfg%", "1,", "\n",
                "CopyFiles=I,@x\n", "Needs=I,R,I.Services\n", "ServiceBinary=%12%\\x\n", "[DestinationDirs]\n", "DefaultDestDir=12\n", "AddProperty=R\n",
                "[I.Interfaces]\n", "AddInterface={4D36E97D-E325-11CE-BFC1-08002BE10318},,,I\n", "[I.Filters]\n", "AddFilter=f,,I\n", "{", "\"", "\\", ";", "=",
            ]), 0..40)) {
            if let Ok(found) = read(&parts.concat()) {
                prop_assert_eq!(found.installs.is_empty(), found.models.is_empty());
            }
        }
    }
}
