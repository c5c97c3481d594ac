//! Which error of the library means which exit code, and the words around it. Decided here, once.

use std::{error::Error, fmt, io, path::Path};

use miette::Report;

use crate::{
    format::wim::WimError,
    image::{ImageError, export::ExtractError, host::SidecarError, import::HostFileError},
    pipeline::{
        BuildError,
        output::OutputError,
        report::{beside::WriteError, collect::CollectError},
    },
    plan::{self, FailureClass, PlanError, base_image, check::AloneError, inputs::InputError},
    recipe::Findings,
    servicing::ServicingError,
    store::StoreError,
};

use super::{
    exit::{Exit, Failure, Problem},
    text,
};

/// How many findings are shown; of more, only the number.
const SHOWN: usize = 30;

/// A recipe that is invalid.
pub(crate) fn recipe(found: &Findings) -> Failure {
    findings(found, Exit::RecipeInvalid)
}

/// Findings in a recipe, each a report.
pub(crate) fn findings(found: &Findings, exit: Exit) -> Failure {
    let mut reports: Vec<Report> =
        found.iter().take(SHOWN).map(|finding| Report::new(finding.clone())).collect();
    if found.iter().len() > SHOWN {
        let more = found.iter().len() - SHOWN;
        reports.push(Report::new(Problem::new(
            "recipe::more",
            format!("and {}", text::count(more as u64, "more mistake", "more mistakes")),
        )));
    }
    Failure { exit, reports }
}

/// There is no plan.
pub(crate) fn plan(error: PlanError) -> Failure {
    let exit = exit_of(error.class());
    match error {
        PlanError::Inputs(found)
        | PlanError::Refused(found)
        | PlanError::Policy(found)
        | PlanError::Output(found) => findings(&found, exit),
        PlanError::Cancelled => Failure::interrupted_so(
            "nothing was changed",
            "run the same command again: files that were hashed are not hashed again",
        ),
        PlanError::Store(error) => Problem::new("cache::unusable", text::chain(&error))
            .help(store_help(&error).0)
            .exit(exit),
        error => Failure::new(exit, error),
    }
}

/// An error and its causes, each told once.
#[derive(Debug)]
struct Told(String);

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for Told {}

/// A build on the base image `base` failed.
pub(crate) fn build(base: &Path, error: BuildError) -> Failure {
    let exit = exit_of(error.class());
    match error {
        BuildError::Step(found)
        | BuildError::Policy(found)
        | BuildError::Secret(found)
        | BuildError::Input(found)
        | BuildError::Cache(found) => findings(&found, exit),
        BuildError::Cancelled => Failure::interrupted_so(
            "the output is as it was before",
            "run the same command again: steps that were done are not done again",
        ),
        BuildError::Output(error @ OutputError::InUse(_)) => {
            Problem::new("output::in-use", error.to_string())
                .help("wait for it, or give this build another output: --set output.path=OTHER.wim")
                .exit(exit)
        }
        BuildError::Output(OutputError::Io { path, source }) => output(&path, source),
        BuildError::Store(error) => build_store(error),
        BuildError::Base(error) => Problem::new(
            "base::damaged",
            format!("the base image {} cannot be used", base.display()),
        )
        .cause(Told(text::chain(&error)))
        .help(format!(
            "`transom wim verify {}` says what is damaged; get the file again",
            base.display()
        ))
        .exit(exit),
        error => Failure::new(exit, error),
    }
}

/// The report of a build that is done cannot be made; `path` is the output.
pub(crate) fn report(path: &Path, error: CollectError) -> Failure {
    let help = format!(
        "{} is complete; run the command again for its report, or with --no-report",
        path.display()
    );
    match error {
        CollectError::Store(error) => build_store(error),
        CollectError::Cancelled => {
            Problem::new("interrupted", "interrupted; the output is built, and its report is not")
                .help(help)
                .exit(Exit::Interrupted)
        }
        error => Problem::new("report", "the report of the build cannot be made")
            .cause(Told(text::chain(&error)))
            .help(help)
            .exit(Exit::OutputFailed),
    }
}

/// A document about a build that is done cannot be written; `path` is the output.
pub(crate) fn document(path: &Path, error: WriteError) -> Failure {
    Problem::new("report", error.to_string())
        .cause(Told(text::chain(&error.source)))
        .help(format!(
            "{} is complete; make room or move what is in the way and run the command again, or run it with --no-report",
            path.display()
        ))
        .exit(Exit::OutputFailed)
}

/// What lies where a document about the output at `path` would be, found before anything was built.
pub(crate) fn document_place(error: WriteError) -> Failure {
    Problem::new("report", error.to_string())
        .cause(Told(text::chain(&error.source)))
        .help("nothing was built: move what is in the way and run the command again, or run it with --no-report")
        .exit(Exit::OutputFailed)
}

/// The store failed while it was asked about a plan.
pub(crate) fn build_store(error: StoreError) -> Failure {
    plan(PlanError::Store(error))
}

/// The exit code of a class of failures.
fn exit_of(class: FailureClass) -> Exit {
    match class {
        FailureClass::Step => Exit::StepFailed,
        FailureClass::Lock => Exit::LockOutOfDate,
        FailureClass::Input => Exit::BadInput,
        FailureClass::Plan => Exit::NoPlan,
        FailureClass::Policy => Exit::Policy,
        FailureClass::Output => Exit::OutputFailed,
        FailureClass::Verification => Exit::VerificationFailed,
        FailureClass::Interrupted => Exit::Interrupted,
        FailureClass::Internal => Exit::Internal,
    }
}

/// A WIM that cannot be opened or read.
pub(crate) fn wim_read(path: &Path, error: WimError) -> Failure {
    match error {
        WimError::Cancelled => Failure::interrupted(),
        WimError::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Failure::silent(Exit::Done)
        }
        error => {
            let help = wim_help(&error);
            let code = wim_code(&error);
            let mut problem =
                Problem::new(code, format!("{} cannot be read", path.display())).cause(error);
            if let Some(help) = help {
                problem = problem.help(help);
            }
            problem.exit(Exit::BadInput)
        }
    }
}

/// A WIM that cannot be written.
pub(crate) fn wim_write(path: &Path, error: WimError) -> Failure {
    let message = format!("{} cannot be written", path.display());
    match error {
        WimError::Cancelled => Failure::interrupted_so(
            &format!("{} is as it was before", path.display()),
            "run the same command again: it begins anew",
        ),
        // Inputs and outputs meet in one call here.
        WimError::Io(error) if is_input(&error) => input("a captured file", error),
        WimError::Io(error) => output(path, error),
        error @ WimError::Source { .. } => {
            Problem::new("input", "an input cannot be read").cause(error).exit(Exit::BadInput)
        }
        WimError::Plan { .. } => Problem::new("bug", message).cause(error).exit(Exit::Internal),
        error @ WimError::HashMismatch { .. } => Problem::new("input::changed", message)
            .cause(error)
            .help("the input changed while it was read; run the command again")
            .exit(Exit::BadInput),
        error => Problem::new(wim_code(&error), message).cause(error).exit(Exit::BadInput),
    }
}

/// An image that cannot be opened or read.
pub(crate) fn image(path: &Path, error: ImageError) -> Failure {
    match error {
        ImageError::Wim(error) => wim_read(path, error),
        error => {
            let code = match error {
                ImageError::MissingBlob { .. } => "wim::missing-blob",
                _ => "image",
            };
            Problem::new(code, format!("an image of {} cannot be read", path.display()))
                .cause(error)
                .exit(Exit::BadInput)
        }
    }
}

/// An image that cannot be extracted.
pub(crate) fn extract(wim: &Path, error: ExtractError) -> Failure {
    let text = error.to_string();
    match error {
        ExtractError::Image(error @ ImageError::NoMatch { .. }) => patterns(error),
        ExtractError::Image(error) => image(wim, error),
        ExtractError::Host { path, source }
            if matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ) =>
        {
            Problem::new("output", format!("{} cannot be written", path.display()))
                .cause(Told(text::chain(&source)))
                .help("the disk is full; the files written so far are whole and stay: make room and run it again with --overwrite")
                .exit(Exit::OutputFailed)
        }
        ExtractError::Host { path, source } => output(&path, source),
        ExtractError::Exists(_) => Problem::new("wim::extract::exists", text)
            .help("--overwrite replaces existing files")
            .exit(Exit::OutputFailed),
        ExtractError::InTheWay { .. } => Problem::new("wim::extract::in-the-way", text)
            .help("symbolic links are not followed; unpack into an empty folder, or move it away")
            .exit(Exit::OutputFailed),
        ExtractError::Sidecar { source, .. } => Problem::new("wim::apply::sidecar", text)
            .cause(source)
            .help("the files are there; what only the sidecar keeps (attributes, security, streams ...) is not. Apply again with --overwrite")
            .exit(Exit::OutputFailed),
        ExtractError::Cancelled => Failure::interrupted_so(
            "the files written so far are whole and stay",
            "run it again with --overwrite",
        ),
    }
}

/// A folder that cannot be captured.
pub(crate) fn capture(source: &Path, error: ImageError) -> Failure {
    let message = format!("{} cannot be captured", source.display());
    match error {
        ImageError::HostNames { names } => Problem::new("input::name", message)
            .cause(ImageError::HostNames { names: names.clone() })
            .help(format!(
                "rename them, or leave them out with --skip-bad-names:\n{}",
                names.join("\n")
            ))
            .exit(Exit::BadInput),
        ImageError::Cancelled => Failure::interrupted_so(
            "nothing was written",
            "run the same command again: it begins anew",
        ),
        ImageError::Sidecar(error) => Problem::new("input::sidecar", message)
            .help(sidecar_help(&error))
            .cause(error)
            .exit(Exit::BadInput),
        error => Problem::new("input", message).cause(error).exit(Exit::BadInput),
    }
}

/// What to do about a sidecar that cannot be used.
fn sidecar_help(error: &SidecarError) -> String {
    let first = match error {
        SidecarError::Unfinished(_) => "apply the image again with --overwrite",
        SidecarError::Foreign(_) => "move it away if it is a file of yours",
        SidecarError::Broken { .. } => {
            "put back the one that apply wrote, or apply the image again"
        }
    };
    format!(
        "{first}; --ignore-sidecar captures what the folder itself holds, without security, short names, named streams ..."
    )
}

/// Patterns that are none, or that choose nothing.
pub(crate) fn patterns(error: ImageError) -> Failure {
    match error {
        ImageError::NoMatch { .. } => Problem::new("wim::no-match", error.to_string())
            .help("a pattern with a separator is compared with the whole path from the image's root, one without means any entry of that name")
            .exit(Exit::BadInput),
        error => Problem::new("usage::pattern", error.to_string())
            .help("put brackets and braces in pairs; `[[]` is a bracket itself")
            .exit(Exit::Usage),
    }
}

/// The store cannot be used.
pub(crate) fn store(folder: &Path, error: StoreError) -> Failure {
    let (help, exit) = store_help(&error);
    Problem::new("cache", format!("the cache in {} failed", folder.display()))
        .cause(Told(text::chain(&error)))
        .help(help)
        .exit(exit)
}

/// What to do about the store, and the exit code.
fn store_help(error: &StoreError) -> (&'static str, Exit) {
    match error {
        StoreError::Busy(_) => ("wait for the build to end, then try again", Exit::OutputFailed),
        StoreError::Format { .. } => {
            ("give another folder with --cache-dir, or delete this one", Exit::OutputFailed)
        }
        StoreError::Foreign { .. } => (
            "give an empty folder, or one that is not there yet, with --cache-dir or TRANSOM_CACHE_DIR",
            Exit::OutputFailed,
        ),
        StoreError::Lost(_) => {
            ("run the command again: what is lost is made anew", Exit::StepFailed)
        }
        StoreError::Source(_) => ("see that the input can be read", Exit::BadInput),
        StoreError::Changed => {
            ("an input changed while it was read; run the command again", Exit::BadInput)
        }
        StoreError::Io(_) | StoreError::Coding(_) => {
            ("give another folder with --cache-dir, or make room", Exit::OutputFailed)
        }
    }
}

/// An output that cannot be written.
pub(crate) fn output(path: &Path, error: io::Error) -> Failure {
    let help = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("the disk is full; nothing was changed, so make room and run the command again")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("write to another place, or get the permission to write there")
        }
        _ => None,
    };
    let mut problem = Problem::new("output", format!("{} cannot be written", path.display()))
        .cause(Told(text::chain(&error)));
    if let Some(help) = help {
        problem = problem.help(help);
    }
    problem.exit(Exit::OutputFailed)
}

/// A host file or folder that cannot be read.
pub(crate) fn input(what: &str, error: io::Error) -> Failure {
    Problem::new("input", format!("{what} cannot be read")).cause(error).exit(Exit::BadInput)
}

/// Something given by hand, outside of any recipe, that cannot be used.
pub(crate) fn alone(error: &AloneError) -> Failure {
    match error {
        AloneError::Input(InputError::Cancelled) => Failure::interrupted(),
        AloneError::Input(error) => {
            let (code, help) = plan::explain_input(error);
            Problem::new(code, text::chain(error)).help(help).exit(Exit::BadInput)
        }
        AloneError::Servicing(error) => servicing(error),
    }
}

/// An input that is not what it should be.
pub(crate) fn servicing(error: &ServicingError) -> Failure {
    Problem::new("input::invalid", text::chain(error)).help(error.help()).exit(Exit::BadInput)
}

fn is_input(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<HostFileError>())
}

fn wim_code(error: &WimError) -> &'static str {
    match error {
        WimError::NotAWim { .. } => "wim::not-a-wim",
        WimError::Malformed(_)
        | WimError::Decode { .. }
        | WimError::HashMismatch { .. }
        | WimError::Damaged { .. } => "wim::damaged",
        WimError::MissingBlob { .. } => "wim::missing-blob",
        WimError::Volumes { .. } => "wim::parts",
        WimError::NoSuchImage { .. } => "wim::no-such-image",
        WimError::Unsupported { .. } => "wim::unsupported",
        WimError::Plan { .. } | WimError::Source { .. } | WimError::Io(_) | WimError::Cancelled => {
            "wim::read"
        }
    }
}

fn wim_help(error: &WimError) -> Option<&'static str> {
    match error {
        WimError::Malformed(_)
        | WimError::Decode { .. }
        | WimError::HashMismatch { .. }
        | WimError::Damaged { .. } => Some(
            "the file is damaged or was cut short: get it again and compare its checksum with the publisher's",
        ),
        WimError::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Some("this user may not read it: change its permissions, or run as a user who may")
        }
        error => base_image::remedy(error),
    }
}

/// The demo's workspace could not be made.
pub(crate) fn demo(directory: &Path, error: super::demo::DemoError) -> Failure {
    match error {
        super::demo::DemoError::Io(error) => output(directory, error),
        error => Problem::new("demo", format!("{} cannot be made", directory.display()))
            .cause(error)
            .exit(Exit::OutputFailed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::limits::Limits,
        image::{
            BlobLocation, Watch,
            import::{CaptureOptions, capture},
            patterns::Patterns,
        },
    };

    /// What a read of a captured file gives that went away.
    fn gone_after_capture() -> io::Error {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("a"), "content").unwrap();
        let options = CaptureOptions {
            exclude: Patterns::new::<&str>(&[]).unwrap(),
            unix_data: false,
            skip_bad_names: false,
            depth: Limits::default().depth,
        };
        let (image, _) = capture(folder.path(), &options, Watch::default()).unwrap();
        let blobs = image.finish().unwrap().blobs;
        let BlobLocation::Host(source) = &blobs[0].location else { panic!("it is a host file") };
        folder.close().unwrap();
        source.read_exact_at(0, &mut [0; 4]).unwrap_err()
    }

    #[test]
    fn a_failed_input_and_a_failed_output_have_their_own_codes() {
        let path = Path::new("out.wim");
        assert_eq!(wim_write(path, WimError::Io(gone_after_capture())).exit, Exit::BadInput);
        let full = WimError::Io(io::ErrorKind::StorageFull.into());
        assert_eq!(wim_write(path, full).exit, Exit::OutputFailed);
        assert_eq!(wim_write(path, WimError::Cancelled).exit, Exit::Interrupted);
    }

    fn said(failure: &Failure) -> String {
        let report = &failure.reports[0];
        let help = report.help().map(|help| help.to_string()).unwrap_or_default();
        format!("{}: {} | {help}", report, text::chain(report.as_ref()))
    }

    #[test]
    fn a_split_wim_wants_its_parts_and_an_unknown_kind_another_tool() {
        let split = WimError::Volumes { what: "x3.swm is missing".to_owned() };
        let split = said(&wim_read(Path::new("x.swm"), split));
        assert!(split.contains("x3.swm is missing") && split.contains("one folder"), "{split}");
        let pipable = WimError::Unsupported { what: "pipable WIM files are".to_owned() };
        assert!(said(&wim_read(Path::new("a.wim"), pipable)).contains("export"));
    }

    #[test]
    fn failures_of_a_build_say_what_to_do() {
        let base = Path::new("media/base.wim");
        let busy = BuildError::Output(OutputError::InUse("out.wim".into()));
        let busy = said(&build(base, busy));
        assert!(busy.contains("wait for it") && busy.contains("another output"), "{busy}");
        let damaged =
            BuildError::Base(ImageError::Wim(WimError::Unsupported { what: "x is".to_owned() }));
        let damaged = said(&build(base, damaged));
        assert!(damaged.contains("transom wim verify media/base.wim"), "{damaged}");
        let denied =
            || io::Error::new(io::ErrorKind::PermissionDenied, "no entry: /x/.out.partial");
        let output = OutputError::Io { path: "out.wim".into(), source: denied() };
        let output = build(base, BuildError::Output(output));
        assert_eq!(text::chain(output.reports[0].as_ref()).matches("no entry").count(), 1);
        let cache = store(Path::new("cache"), StoreError::Io(denied()));
        assert_eq!(format!("{:?}", cache.reports[0]).matches("no entry").count(), 1);
    }

    #[test]
    fn one_more_mistake_is_one() {
        let finding = crate::recipe::Finding::nowhere("x", "x", "");
        let found = Findings::check(vec![finding; SHOWN + 1]).unwrap_err();
        let failure = recipe(&found);
        assert_eq!(failure.reports[SHOWN].to_string(), "and 1 more mistake");
    }

    #[test]
    fn a_reader_that_went_away_is_quiet_success() {
        let gone = WimError::Io(io::ErrorKind::BrokenPipe.into());
        let failure = wim_read(Path::new("in.wim"), gone);
        assert_eq!((failure.exit, failure.reports.len()), (Exit::Done, 0));
    }
}
