//! `transom inspect package`: what packages are, what they need, and whether an image would take them.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{into::IntoImage, mum::MumReport};
use crate::{
    cli::{
        app::Context,
        commands::session,
        exit::{Exit, Failure, Problem as CliProblem},
        failures,
        output::Out,
        text,
    },
    format::cbs::Mum,
    plan::{self, Control},
    servicing::{
        InputId, Operation, Prepared, Problem, WhenNotNative,
        cbs::{
            PackageAction, PackageSpec, PackageSubject,
            prepared::{PreparedFolder, PreparedPackage},
            survey::Survey,
        },
    },
};

/// Show what packages are, what they need, and whether an image would take them
///
/// The source is an update (.msu), a cabinet (.cab), a language pack (.esd), or a folder of them or of an expanded package. Everything is unpacked and hashed,
/// catalogs are checked, offline. With --into it is said whether that image would take them, and why not.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom inspect package windows10.0-kb5031455-x64.msu
  transom inspect package Microsoft-Windows-Client-Language-Pack_x64_de-de.cab --into install.wim --index 2
  transom inspect package packages/expanded --json"#)]
pub(crate) struct InspectPackageArguments {
    /// The .msu, .cab, .esd or folder
    #[arg(value_name = "SOURCE")]
    source: PathBuf,

    #[command(flatten)]
    into: IntoImage,

    /// Print JSON: {folders: [{source, packages: [...], components, files, bytes}], native, not-native: [...], not-understood: [...], image: {applies, problems: [...]}}
    #[arg(long)]
    json: bool,
}

/// How many elements that are not understood are named to people.
const NAMED: usize = 20;

/// What `--json` prints. Fields are only ever added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    folders: Vec<FolderReport>,
    /// Nothing stands against installing it without Windows.
    native: bool,
    /// What stands against that.
    not_native: Vec<Problem>,
    /// Elements that are not understood, which stands against it too.
    not_understood: Vec<ElementReport>,
    /// Files that are no packages.
    left: Vec<Left>,
    /// What the image of --into says.
    image: Option<ImageReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Left {
    file: String,
    reason: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct FolderReport {
    /// Where it lies: `kb.msu/Windows6.1-KB4528069-x64.cab`.
    source: String,
    /// The first is the one that people mean.
    packages: Vec<PackageReport>,
    /// How many component and deployment manifests.
    components: usize,
    /// How many files of components.
    files: usize,
    /// Their size.
    bytes: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct PackageReport {
    id: String,
    file: String,
    /// What its catalog's signature is worth.
    trust: &'static str,
    /// Why it is not worth more; empty for the best.
    reason: String,
    manifest: Option<MumReport>,
    /// Why its mum cannot be read.
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ElementReport {
    /// The package (id) or component (key form) that has it.
    holder: String,
    /// Names from below the root: `file/infFile`.
    element: String,
    line: u32,
    /// What of it is not understood; empty for the element as a whole.
    what: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ImageReport {
    /// It can be installed there natively.
    applies: bool,
    /// What stands against it, and what is odd.
    problems: Vec<Problem>,
}

/// Runs `transom inspect package`.
pub(crate) fn run(arguments: &InspectPackageArguments, context: &Context) -> Result<(), Failure> {
    let path = &arguments.source;
    let store = session::store(context)?;
    let cancelled = || context.interrupt.pressed();
    let control = Control { cancelled: &cancelled, hashed: &|_| {}, rehash: false };
    let operation = Operation::Package(PackageSpec {
        subject: PackageSubject::Package("package".to_owned()),
        action: PackageAction::Present {
            source: Some(InputId(path.display().to_string())),
            allow_unsigned: true,
            when_not_native: WhenNotNative::Refuse,
        },
    });
    let prepared = plan::check::prepare_alone(&operation, path, &store, &control)
        .map_err(|error| failures::alone(&error))?;
    let Prepared::Packages(packages) = &prepared else {
        let message = format!("{}: it holds no package", path.display());
        return Err(CliProblem::new("package::none", message).exit(Exit::BadInput));
    };
    let image = arguments.into.open(context)?.map(|mut image| {
        let facts = image.facts();
        let mut problems = operation.check_image(&mut image, &facts);
        problems.extend(operation.check_prepared(&prepared, &mut image, &facts));
        let applies = problems.iter().all(|problem| problem.warning);
        ImageReport { applies, problems }
    });
    let survey = Survey::of(packages);
    let left =
        |(file, reason): &(String, String)| Left { file: file.clone(), reason: reason.clone() };
    let report = Report {
        folders: packages.folders.iter().map(folder_report).collect(),
        native: survey.is_native(),
        not_native: survey.problems,
        not_understood: survey
            .unknown
            .into_iter()
            .map(|(holder, found)| ElementReport {
                holder,
                element: found.element,
                line: found.line,
                what: found.what,
            })
            .collect(),
        left: packages.skipped.iter().map(left).collect(),
        image,
    };
    if arguments.json { context.printer.json(&report) } else { print(&report, context) }
}

fn folder_report(folder: &PreparedFolder) -> FolderReport {
    FolderReport {
        source: folder.shown.clone(),
        packages: folder.packages.iter().map(package_report).collect(),
        components: folder.manifests.len(),
        files: folder.payload.len(),
        bytes: folder.payload.iter().map(|payload| payload.content.size).sum(),
    }
}

fn package_report(package: &PreparedPackage) -> PackageReport {
    let mum = Mum::parse(package.mum.as_bytes());
    PackageReport {
        id: package.id.clone(),
        file: package.file.clone(),
        trust: package.trust.name(),
        reason: package.reason.clone(),
        problem: mum.as_ref().err().map(ToString::to_string),
        manifest: mum.ok().as_ref().map(MumReport::new),
    }
}

fn print(report: &Report, context: &Context) -> Result<(), Failure> {
    let mut out = context.printer.stdout();
    for folder in &report.folders {
        out.line(&folder.source)?;
        let components = text::count(folder.components as u64, "component", "components");
        let files = text::count(folder.files as u64, "file", "files");
        out.line(format_args!("  {components}, {files} ({})", text::size(folder.bytes)))?;
        for package in &folder.packages {
            out.line("")?;
            out.line(&package.id)?;
            let signed = match package.reason.as_str() {
                "" => package.trust.to_owned(),
                reason => format!("{} ({reason})", package.trust),
            };
            let mut rows = vec![("Signed", signed)];
            rows.extend(package.problem.iter().map(|problem| ("Not read", problem.clone())));
            rows.extend(package.manifest.iter().flat_map(MumReport::rows));
            out.text(text::facts(&rows))?;
        }
        out.line("")?;
    }
    for Left { file, reason } in &report.left {
        out.line(format_args!("Left out: {file}: {reason}"))?;
    }
    if report.native {
        out.line("Transom can install it natively")?;
    } else {
        out.line("Transom cannot install it natively")?;
    }
    for problem in &report.not_native {
        line(&mut out, problem)?;
    }
    // An element that a component has often is named once, with its first line.
    let alike = |one: &ElementReport, other: &ElementReport| {
        (&one.holder, &one.element, &one.what) == (&other.holder, &other.element, &other.what)
    };
    let groups: Vec<&[ElementReport]> = report.not_understood.chunk_by(alike).collect();
    for group in groups.iter().take(NAMED) {
        let [ElementReport { holder, element, line, what }, rest @ ..] = group else { continue };
        let what = if what.is_empty() { String::new() } else { format!(": {what}") };
        let more =
            if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        out.line(format_args!(
            "  not understood: {holder}: <{element}> (line {line}{more}){what}"
        ))?;
    }
    let more = groups.len().saturating_sub(NAMED);
    if more > 0 {
        out.line(format_args!("  and {more} more that are not understood; --json lists them"))?;
    }
    if let Some(image) = &report.image {
        let verdict = if image.applies { "can" } else { "cannot" };
        out.line(format_args!("\nIt {verdict} be installed in the image"))?;
        // That nobody vouches for a package stands with the package.
        for problem in image.problems.iter().filter(|problem| !problem.warning) {
            line(&mut out, problem)?;
        }
    }
    out.finish()
}

fn line(out: &mut Out, problem: &Problem) -> Result<(), Failure> {
    let kind = if problem.warning { "warning" } else { "problem" };
    out.line(format_args!("  {kind}: {}: {}", problem.item, problem.cause))?;
    if !problem.help.is_empty() {
        out.line(format_args!("    {}", problem.help))?;
    }
    Ok(())
}
