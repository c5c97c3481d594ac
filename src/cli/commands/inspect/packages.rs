//! `transom inspect image --packages`, `--features` and their sisters: what the image's component store has.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::mum::MumReport;
use crate::{
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        failures, text,
    },
    image::Image,
    servicing::{
        cbs::{
            inventory::{
                self, CapabilityStatus, InstalledCapability, InstalledFeature, InstalledLanguage,
                PendingWork, ServicingStack,
            },
            store::{self, InstalledPackage, PackageState},
        },
        first_boot,
    },
};

/// The views of an image's component store.
#[derive(Debug, Args)]
pub(super) struct PackageViews {
    /// List the packages that Windows lists
    #[arg(long, group = "view")]
    packages: bool,

    /// Show packages in detail, by id, or by name for all versions and languages
    #[arg(long, value_name = "ID", group = "view")]
    package: Option<String>,

    /// List the optional features
    #[arg(long, group = "view")]
    features: bool,

    /// Show one optional feature
    #[arg(long, value_name = "NAME", group = "view")]
    feature: Option<String>,

    /// List the capabilities that are there
    #[arg(long, group = "view")]
    capabilities: bool,

    /// List the display languages
    #[arg(long, group = "view")]
    languages: bool,

    /// List what waits for the next start of Windows and what is left to the first boot, and show the servicing stack
    #[arg(long, group = "view")]
    pending: bool,
}

impl PackageViews {
    /// True when one of the views is asked for.
    pub(super) fn any(&self) -> bool {
        let flags = [self.packages, self.features, self.capabilities, self.languages, self.pending];
        flags.contains(&true) || self.package.is_some() || self.feature.is_some()
    }

    /// True when the list that is asked for leaves something out.
    pub(super) fn leaves_out(&self) -> bool {
        self.packages || self.capabilities
    }

    /// The view that is asked for, when it has all there is.
    pub(super) fn complete(&self) -> Option<&'static str> {
        let views = [
            (self.package.is_some(), "--package"),
            (self.features, "--features"),
            (self.feature.is_some(), "--feature"),
            (self.languages, "--languages"),
            (self.pending, "--pending"),
        ];
        views.into_iter().find(|(asked, _)| *asked).map(|(_, view)| view)
    }

    /// Prints the view that is asked for.
    pub(super) fn run(
        &self,
        image: &mut Image,
        path: &Path,
        all: bool,
        json: bool,
        context: &Context,
    ) -> Result<(), Failure> {
        let packages = store::packages(image).map_err(|error| failures::image(path, error))?;
        for problem in packages.iter().filter_map(|package| package.mum_problem.as_ref()) {
            context.printer.warn(format_args!("{}: {problem}", path.display()));
        }
        let failed = |error| failures::image(path, error);
        if let Some(id) = &self.package {
            return show_packages(&packages, id, path, json, context);
        }
        if self.packages {
            return list_packages(&packages, all, json, context);
        }
        if self.features || self.feature.is_some() {
            let features = inventory::features(&packages, image).map_err(failed)?;
            return show_features(features, self.feature.as_deref(), path, json, context);
        }
        if self.capabilities {
            let mut capabilities = inventory::capabilities(&packages, image).map_err(failed)?;
            let total = capabilities.len();
            capabilities.retain(|c| all || c.status != CapabilityStatus::NotPresent);
            return list_capabilities(capabilities, total, json, context);
        }
        if self.languages {
            let languages = inventory::languages(&packages, image).map_err(failed)?;
            return list_languages(languages, json, context);
        }
        let report = PendingReport {
            pending: inventory::pending(&packages, image).map_err(failed)?,
            servicing_stack: inventory::servicing_stack(image).map_err(failed)?,
            first_boot: first_boot::waiting(image).map_err(failed)?,
        };
        show_pending(&report, json, context)
    }
}

/// A package of an image. Fields are only ever added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct PackageReport {
    id: String,
    name: String,
    version: String,
    architecture: String,
    /// Empty for none.
    language: String,
    state: String,
    /// Windows lists it.
    visible: bool,
    release_type: Option<String>,
    /// In UTC.
    install_time: Option<String>,
    install_client: Option<String>,
    /// Packages that brought it.
    owners: Vec<String>,
    /// What its mum says; only with --package.
    manifest: Option<MumReport>,
    /// Why its mum cannot be read.
    problem: Option<String>,
}

impl PackageReport {
    fn new(package: &InstalledPackage, detailed: bool) -> Self {
        let identity = &package.identity;
        let mum = package.mum.as_ref();
        Self {
            id: package.id.clone(),
            name: identity.name.clone(),
            version: identity.version.to_string(),
            architecture: identity.architecture.clone(),
            language: if identity.is_neutral() { String::new() } else { identity.language.clone() },
            state: package.state.name(),
            visible: package.visible,
            release_type: mum.map(|mum| mum.release_type.clone()),
            install_time: package.install_time.map(|time| time.to_string()),
            install_client: package.install_client.clone(),
            owners: package.owners.clone(),
            manifest: mum.filter(|_| detailed).map(MumReport::new),
            problem: package.mum_problem.clone(),
        }
    }
}

#[derive(Serialize)]
struct Packages {
    packages: Vec<PackageReport>,
}

fn list_packages(
    packages: &[InstalledPackage],
    all: bool,
    json: bool,
    context: &Context,
) -> Result<(), Failure> {
    let listed: Vec<PackageReport> = packages
        .iter()
        .filter(|package| all || package.visible && package.state != PackageState::Absent)
        .map(|package| PackageReport::new(package, false))
        .collect();
    let rest = packages.len() - listed.len();
    if json {
        return context.printer.json(&Packages { packages: listed });
    }
    let rows = listed.iter().map(|package| {
        let day = package.install_time.as_deref().and_then(|time| time.get(..10));
        [
            package.id.clone(),
            package.state.clone(),
            package.release_type.clone().unwrap_or_default(),
            day.unwrap_or_default().to_owned(),
        ]
    });
    let total = text::count(listed.len() as u64, "package", "packages");
    table(["Package", "State", "Release type", "Installed"], rows, &total, rest, "hidden", context)
}

fn show_packages(
    packages: &[InstalledPackage],
    wanted: &str,
    path: &Path,
    json: bool,
    context: &Context,
) -> Result<(), Failure> {
    let is = |package: &&InstalledPackage| {
        [&package.id, &package.identity.name].iter().any(|name| name.eq_ignore_ascii_case(wanted))
    };
    let found: Vec<&InstalledPackage> = packages.iter().filter(is).collect();
    if found.is_empty() {
        let names = packages.iter().flat_map(|p| [p.id.as_str(), p.identity.name.as_str()]);
        return Err(missing("package", wanted, text::nearest(wanted, names), path)
            .help("`--packages --all` lists them by id")
            .exit(Exit::BadInput));
    }
    let reports: Vec<PackageReport> =
        found.iter().map(|package| PackageReport::new(package, true)).collect();
    if json {
        return context.printer.json(&Packages { packages: reports });
    }
    let mut out = context.printer.stdout();
    for (place, (report, package)) in reports.iter().zip(found).enumerate() {
        if place > 0 {
            out.line("")?;
        }
        let mut rows = vec![
            ("Package", report.id.clone()),
            ("State", report.state.clone()),
            ("Listed", if report.visible { "yes" } else { "no" }.to_owned()),
            ("Installed", report.install_time.clone().unwrap_or_default()),
            ("Installed by", report.install_client.clone().unwrap_or_default()),
            ("Brought by", report.owners.join(", ")),
        ];
        match &report.manifest {
            Some(manifest) => rows.extend(manifest.rows()),
            None => rows.push(("Manifest", "not in the image".to_owned())),
        }
        for (name, number) in &package.updates {
            let state = PackageState::of_number(number & 0xffff).name();
            rows.push(("Update", format!("{name}: {state} ({number:#x})")));
        }
        rows.retain(|(_, value)| !value.is_empty());
        out.text(text::facts(&rows))?;
    }
    out.finish()
}

#[derive(Serialize)]
struct Features {
    features: Vec<InstalledFeature>,
}

fn show_features(
    features: Vec<InstalledFeature>,
    wanted: Option<&str>,
    path: &Path,
    json: bool,
    context: &Context,
) -> Result<(), Failure> {
    let Some(wanted) = wanted else {
        if json {
            return context.printer.json(&Features { features });
        }
        let total = text::count(features.len() as u64, "feature", "features");
        let rows = features.into_iter().map(|feature| {
            let shown = feature.display_name.unwrap_or_default();
            [feature.name, feature.status.name().to_owned(), shown]
        });
        return table(["Feature", "State", "Name"], rows, &total, 0, "", context);
    };
    let Some(feature) = features.iter().find(|f| f.name.eq_ignore_ascii_case(wanted)) else {
        let near = text::nearest(wanted, features.iter().map(|feature| feature.name.as_str()));
        return Err(missing("feature", wanted, near, path)
            .help("`--features` lists them by name")
            .exit(Exit::BadInput));
    };
    if json {
        return context.printer.json(&Features { features: vec![feature.clone()] });
    }
    let mut out = context.printer.stdout();
    let mut rows = vec![
        ("Feature", feature.name.clone()),
        ("State", feature.status.name().to_owned()),
        ("Name", feature.display_name.clone().unwrap_or_default()),
        ("Description", feature.description.clone().unwrap_or_default()),
        ("Package", feature.package.clone()),
        ("By default", if feature.default { "on" } else { "off" }.to_owned()),
        ("Restart", feature.restart.clone().unwrap_or_default()),
        ("Needs", feature.parents.join(", ")),
        ("Needed by", feature.dependants.join(", ")),
        ("Parts", feature.parts.join(", ")),
    ];
    rows.retain(|(_, value)| !value.is_empty());
    out.text(text::facts(&rows))?;
    out.finish()
}

#[derive(Serialize)]
struct Capabilities {
    capabilities: Vec<InstalledCapability>,
}

fn list_capabilities(
    capabilities: Vec<InstalledCapability>,
    total: usize,
    json: bool,
    context: &Context,
) -> Result<(), Failure> {
    if json {
        return context.printer.json(&Capabilities { capabilities });
    }
    let shown = text::count(capabilities.len() as u64, "capability", "capabilities");
    let rest = total - capabilities.len();
    let rows = capabilities.into_iter().map(|capability| {
        let name = capability.display_name.unwrap_or_default();
        [capability.id, capability.status.name().to_owned(), name]
    });
    table(["Capability", "State", "Name"], rows, &shown, rest, "not present", context)
}

#[derive(Serialize)]
struct Languages {
    languages: Vec<InstalledLanguage>,
}

fn list_languages(
    languages: Vec<InstalledLanguage>,
    json: bool,
    context: &Context,
) -> Result<(), Failure> {
    if json {
        return context.printer.json(&Languages { languages });
    }
    let total = text::count(languages.len() as u64, "language", "languages");
    let rows = languages.into_iter().map(|language| {
        let note = match (language.default, language.registered) {
            (true, _) => "default",
            (false, true) => "",
            (false, false) => "not offered by Windows",
        };
        let state = language.state.unwrap_or_else(|| "no language pack".to_owned());
        [language.tag, state, note.to_owned()]
    });
    table(["Language", "Language pack", ""], rows, &total, 0, "", context)
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct PendingReport {
    pending: Vec<PendingWork>,
    servicing_stack: Option<ServicingStack>,
    /// Scripts of the first boot, in their order.
    first_boot: Vec<String>,
}

fn show_pending(report: &PendingReport, json: bool, context: &Context) -> Result<(), Failure> {
    if json {
        return context.printer.json(report);
    }
    let mut out = context.printer.stdout();
    if let Some(stack) = &report.servicing_stack {
        out.line(format_args!("Servicing stack {}", stack.version))?;
    }
    if report.pending.is_empty() {
        out.line("Nothing is pending")?;
    }
    for script in &report.first_boot {
        out.line(format_args!("Left to the first boot: {script}"))?;
    }
    for work in &report.pending {
        out.line(format_args!("{}: {}", work.place, work.what))?;
    }
    out.finish()
}

fn missing(kind: &'static str, wanted: &str, near: Option<&str>, path: &Path) -> Problem {
    let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    let message = format!("{}: the image has no {kind} {wanted}{near}", path.display());
    Problem::new(if kind == "package" { "image::no-package" } else { "image::no-feature" }, message)
}

/// Rows below their heads, and a last line with how many they are.
fn table<const N: usize>(
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    total: &str,
    rest: usize,
    kind_of_rest: &str,
    context: &Context,
) -> Result<(), Failure> {
    let mut out = context.printer.stdout();
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    if rows.len() > 1 {
        let widths: [usize; N] = std::array::from_fn(|column| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        for row in &rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            out.line(cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        out.line("")?;
    }
    let rest = if rest == 0 {
        String::new()
    } else {
        format!(" ({rest} {kind_of_rest} not shown; --all shows them)")
    };
    out.line(format_args!("{total}{rest}"))?;
    out.finish()
}
