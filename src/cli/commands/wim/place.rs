//! Where a verb writes: a new file, or a file that is there and is changed. Nothing is left half written.
//!
//! A new file, and one that is rebuilt, is written beside its place under another name and renamed when it is complete and on the disk.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err as fs;

use super::select;
use crate::{
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        failures,
        progress::Meter,
        text,
    },
    codec::{Codec, Level},
    format::wim::{
        Header, Recovered, Solid, Wim, WimError, WriteReport, WriteSettings, append_wim, hold,
        recover, write_wim,
    },
    image::{AssemblyError, WritePlan},
};

/// Refuses a path where something is, unless it may be replaced.
pub(crate) fn check_free(path: &Path, overwrite: bool) -> Result<(), Failure> {
    if overwrite || fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    Err(Problem::new("output::exists", format!("{} exists already", path.display()))
        .help("--overwrite replaces it")
        .exit(Exit::OutputFailed))
}

/// A WIM that is there and is to be changed.
#[derive(Debug)]
pub(crate) struct Existing {
    /// Where it really lies, symbolic links followed.
    pub(crate) path: PathBuf,
    /// The WIM.
    pub(crate) wim: Arc<Wim>,
}

impl Existing {
    /// Opens a WIM to change it. What an interrupted change left behind is put right first.
    pub(crate) fn open(path: &Path, context: &Context) -> Result<Self, Failure> {
        let path = &fs::canonicalize(path).map_err(|error| missing(path, error))?;
        match recover(path).map_err(|error| change_failure(path, error))? {
            Recovered::Nothing => {}
            Recovered::Undone => context.printer.note(format_args!(
                "{}: an earlier change was interrupted and is undone",
                path.display()
            )),
            Recovered::Completed => context.printer.note(format_args!(
                "{}: an earlier change was interrupted and is completed",
                path.display()
            )),
        }
        let wim = select::open(path, context)?;
        let refuse = |why: &str, help: &str| {
            Err(Problem::new(
                "wim::not-to-be-changed",
                format!("{} is {why} and cannot be changed", path.display()),
            )
            .help(help)
            .exit(Exit::BadInput))
        };
        if wim.header().is_split() {
            let help = "`transom wim join` makes one WIM of all parts, which can be changed and split again";
            return refuse("a part of a split WIM", help);
        }
        if wim.header().flags & Header::READ_ONLY != 0 {
            return refuse(
                "marked as read-only",
                "`transom wim export` makes a copy without the mark",
            );
        }
        Ok(Self { path: path.clone(), wim })
    }

    /// Settings with which the file goes on as it is.
    pub(crate) fn settings(&self) -> WriteSettings {
        settings_like(&self.wim)
    }

    /// Changes the file: at its end where that can be done, else, or when `rebuild` says so, by writing it anew.
    pub(crate) fn change(
        self,
        settings: &WriteSettings,
        plan: WritePlan,
        rebuild: bool,
        context: &Context,
    ) -> Result<WriteReport, Failure> {
        if rebuild {
            return self.rebuild(settings, plan, context);
        }
        let Self { path, wim } = self;
        let settings = WriteSettings { boot_index: plan.boot_index, ..*settings };
        let meter = Meter::new(&context.settings, "writing", plan.content_bytes());
        let result = append_wim(
            &path,
            &wim,
            &settings,
            plan.blobs,
            plan.images,
            plan.xml,
            &|done| meter.at(done),
            &|| context.interrupt.pressed(),
        );
        meter.finish();
        result.map_err(|error| change_failure(&path, error))
    }

    /// Writes the file anew. Holes and content that nothing refers to are gone. No other process can change it meanwhile.
    pub(crate) fn rebuild(
        self,
        settings: &WriteSettings,
        plan: WritePlan,
        context: &Context,
    ) -> Result<WriteReport, Failure> {
        let Self { path, wim } = self;
        let held = hold(&path, &wim).map_err(|error| change_failure(&path, error))?;
        drop(wim);
        let (temporary, report) = write_beside(&path, settings, plan, context)?;
        // Windows renames nothing over a file that is open.
        let held = (!cfg!(windows)).then_some(held);
        temporary.finish(&path)?;
        drop(held);
        Ok(report)
    }
}

/// Settings with which a file is written as `wim` is.
pub(crate) fn settings_like(wim: &Wim) -> WriteSettings {
    let header = wim.header();
    WriteSettings {
        codec: wim.codec(),
        chunk_size: wim.chunk_size(),
        level: Level::default(),
        solid: wim
            .solids(0)
            .first()
            .filter(|solid| solid.codec() != Codec::None)
            .filter(|solid| solid.codec().allows_chunk_size(solid.chunk_size()))
            .map(|solid| Solid { codec: solid.codec(), chunk_size: solid.chunk_size() }),
        integrity: header.integrity.size != 0,
        boot_index: 0,
        rp_fix: header.flags & Header::RP_FIX != 0,
    }
}

/// Writes `plan` to `path`: beside it first, then renamed. What was there is replaced, and the new file gets its permissions.
pub(crate) fn write(
    path: &Path,
    settings: &WriteSettings,
    plan: WritePlan,
    context: &Context,
) -> Result<WriteReport, Failure> {
    let (temporary, report) = write_beside(path, settings, plan, context)?;
    temporary.finish(path)?;
    Ok(report)
}

/// Writes `plan` beside `path`.
fn write_beside(
    path: &Path,
    settings: &WriteSettings,
    plan: WritePlan,
    context: &Context,
) -> Result<(Temporary, WriteReport), Failure> {
    let (temporary, file) = Temporary::beside(path)?;
    let settings = WriteSettings { boot_index: plan.boot_index, ..*settings };
    let meter = Meter::new(&context.settings, "writing", plan.content_bytes());
    let result = write_wim(
        &file,
        &settings,
        plan.blobs,
        plan.images,
        plan.xml,
        &|done| meter.at(done),
        &|| context.interrupt.pressed(),
    );
    meter.finish();
    let report = result.map_err(|error| failures::wim_write(path, error))?;
    Ok((temporary, report))
}

/// A file that is not yet in its place. Dropped, it is gone. It is not kept open, so that there may be any number.
pub(crate) struct Temporary(tempfile::TempPath);

impl Temporary {
    /// An empty file in the folder of `path`, and what to write it with.
    pub(crate) fn beside(path: &Path) -> Result<(Self, std::fs::File), Failure> {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".transom-").suffix(".wim");
        // What a temporary file may is little; this one may what every new file may, as far as the umask lets it.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let made = builder.tempfile_in(folder).map_err(|error| failures::output(path, error))?;
        let (file, temporary) = made.into_parts();
        Ok((Self(temporary), file))
    }

    /// Puts the file, which is complete, on the disk and in its place.
    pub(crate) fn finish(self, path: &Path) -> Result<(), Failure> {
        self.persist(path).map_err(|error| failures::output(path, error))
    }

    fn persist(self, path: &Path) -> io::Result<()> {
        let file = fs::OpenOptions::new().write(true).open(&self.0)?;
        // What takes the place of a file may what that one could.
        #[cfg(unix)]
        if let Ok(old) = fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        file.sync_all()?;
        drop(file);
        self.0.persist(path).map_err(|error| error.error)
    }
}

/// A WIM that is to be changed and is not there.
fn missing(path: &Path, error: io::Error) -> Failure {
    Problem::new("wim::read", format!("{} cannot be read", path.display()))
        .cause(error)
        .help("`transom wim capture` and `transom wim export` make a new file")
        .exit(Exit::BadInput)
}

/// A WIM that cannot be changed in place.
fn change_failure(path: &Path, error: WimError) -> Failure {
    match error {
        WimError::Plan { what } => {
            Problem::new("wim::change", format!("{} cannot be changed: {what}", path.display()))
                .help("nothing was changed")
                .exit(Exit::OutputFailed)
        }
        error => failures::wim_write(path, error),
    }
}

/// Images that cannot be put together.
pub(crate) fn assembly_failure(path: &Path, error: AssemblyError) -> Failure {
    let message = error.to_string();
    match error {
        AssemblyError::Wim(error) => failures::wim_read(path, error),
        AssemblyError::DuplicateName { name, .. } => {
            Problem::new("wim::duplicate-name", format!("{}: {message}", path.display()))
                .help(format!("--name 'OTHER NAME' gives the image another name; --name '' none (there can be only one `{name}`)"))
                .exit(Exit::BadInput)
        }
        AssemblyError::NoSuchImage { .. } => {
            Problem::new("wim::no-such-image", format!("{}: {message}", path.display()))
                .help(format!("`transom wim info {}` tells what there is", path.display()))
                .exit(Exit::BadInput)
        }
        AssemblyError::Property(error) => {
            Problem::new("usage::property", error.to_string())
                .help("a property is named as wimlib names it: NAME, WINDOWS/VERSION/BUILD, WINDOWS/LANGUAGES/LANGUAGE[2]")
                .exit(Exit::Usage)
        }
        AssemblyError::MissingBlob { .. } => Problem::new("wim::missing-blob", message)
            .help(format!(
                "the file is a delta: `transom wim export {} WHOLE.wim --all --ref BASE.wim` puts it together with the file it was made from",
                path.display()
            ))
            .exit(Exit::BadInput),
        AssemblyError::Stored(_) => Problem::new("bug", message).exit(Exit::Internal),
    }
}

/// What a written file is, for the last line.
pub(crate) fn told(path: &Path, report: &WriteReport) -> String {
    format!("{} ({})", path.display(), text::size(report.file_size))
}
