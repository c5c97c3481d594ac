//! What tests of settings share: an image on which an operation is checked, prepared and applied as a build does it, and hivexsh's word on what came of it.

use std::{path::Path, sync::Arc};

use transom::{
    base::limits::Limits,
    image::{Image, NewNode},
    servicing::{Operation, Prepared, Problem, ServicingError},
};

use crate::{
    image_fixture::{MemoryInputs, MemoryStore, open, path, save_with, windows},
    support,
};

/// A file of the component store.
const IN_STORE: &str = r"\Windows\WinSxS\amd64_demo\linked.bin";

/// An image, and a store for what steps put into it.
pub(crate) struct SettingsBench {
    pub(crate) image: Image,
    store: Arc<MemoryStore>,
    folder: tempfile::TempDir,
}

impl SettingsBench {
    /// On the small Windows of the fixture.
    pub(crate) fn new() -> Self {
        let folder = support::temporary_folder();
        let wim = windows(&folder.path().join("base.wim"));
        Self::with(open(&wim), folder)
    }

    /// On any image.
    pub(crate) fn on(image: Image) -> Self {
        Self::with(image, support::temporary_folder())
    }

    fn with(mut image: Image, folder: tempfile::TempDir) -> Self {
        let store = Arc::new(MemoryStore::default());
        image.set_stored_content(store.clone());
        Self { image, store, folder }
    }

    /// Puts a file into the image.
    pub(crate) fn put(&mut self, file: &str, content: impl Into<Vec<u8>>) {
        self.image.put_bytes(&path(file), content.into(), &NewNode::default()).unwrap();
    }

    /// What a plan says of the operation.
    pub(crate) fn problems(
        &mut self,
        operation: &Operation,
        inputs: &MemoryInputs,
    ) -> Vec<Problem> {
        let facts = self.image.facts();
        let mut found = operation.check_image(&mut self.image, &facts);
        if let Ok(prepared) = self.prepare(operation, inputs) {
            found.extend(operation.check_prepared(&prepared, &mut self.image, &facts));
        }
        found
    }

    fn prepare(
        &self,
        operation: &Operation,
        inputs: &MemoryInputs,
    ) -> Result<Prepared, ServicingError> {
        let prepared = operation.prepare(inputs, self.store.as_ref())?;
        // As the pipeline does: what was prepared may come from a record.
        Ok(serde_json::from_slice(&serde_json::to_vec(&prepared).unwrap()).unwrap())
    }

    /// Does it; gives the number of changes.
    pub(crate) fn run(
        &mut self,
        operation: &Operation,
        inputs: &MemoryInputs,
    ) -> Result<usize, ServicingError> {
        let prepared = self.prepare(operation, inputs)?;
        self.image.begin_step();
        let result = operation.apply(&prepared, &mut self.image);
        let changes = self.image.end_step().0.len();
        result.map(|()| changes)
    }

    /// Does it twice, the second time without any change. Nothing but warnings may be said before.
    pub(crate) fn run_twice(&mut self, operation: &Operation, inputs: &MemoryInputs) -> usize {
        let problems = self.problems(operation, inputs);
        assert!(problems.iter().all(|problem| problem.warning), "{problems:?}");
        let changes = self.run(operation, inputs).unwrap();
        assert_eq!(self.run(operation, inputs).unwrap(), 0, "{} twice", operation.title());
        changes
    }

    /// Why the plan refuses it, which is also what doing it says; cause and help.
    pub(crate) fn refusal(&mut self, operation: &Operation, inputs: &MemoryInputs) -> String {
        let problems = self.problems(operation, inputs);
        let error = self.run(operation, inputs).unwrap_err();
        let problem = problems
            .iter()
            .find(|problem| !problem.warning)
            .unwrap_or_else(|| panic!("not foretold: {error}; {problems:?}"));
        assert!(error.to_string().contains(&problem.cause), "{error} {problems:?}");
        format!("{}: {}; {}", problem.item, problem.cause, problem.help)
    }

    /// Gives the file at `file` a second name in the component store.
    pub(crate) fn link_to_store(&mut self, file: &str) {
        self.image.link(&path(file), &path(IN_STORE)).unwrap();
    }

    /// Asserts that `file` was written and that the store's file still has `content`.
    pub(crate) fn assert_store_kept(&self, file: &str, content: &str) {
        assert_eq!(self.text(IN_STORE).as_deref(), Some(content), "{file}");
        assert_ne!(self.image.read(&path(file)).unwrap(), content.as_bytes(), "{file}");
    }

    pub(crate) fn text(&self, file: &str) -> Option<String> {
        self.image.read(&path(file)).ok().map(|bytes| String::from_utf8(bytes).unwrap())
    }

    pub(crate) fn exists(&self, file: &str) -> bool {
        self.image.tree().lookup(&path(file)).is_some()
    }

    /// Writes the image as a WIM.
    pub(crate) fn save(self, place: &Path) {
        drop(save_with(self.image.finish().unwrap(), None, &self.store, place));
    }

    /// Writes the image as a WIM and opens that.
    pub(crate) fn finish(self) -> Finished {
        let place = self.folder.path().join("built.wim");
        let wim = save_with(self.image.finish().unwrap(), None, &self.store, &place);
        let image = Image::open(wim, 1, &Limits::default()).unwrap();
        Finished { image, folder: self.folder }
    }
}

/// A written image.
pub(crate) struct Finished {
    image: Image,
    folder: tempfile::TempDir,
}

impl Finished {
    /// What hivexsh prints for each command on the hive at `hive`, one line for each; `None` when there is no hivexsh.
    pub(crate) fn hivexsh(&self, hive: &str, commands: &[&str]) -> Option<Vec<String>> {
        let tool = support::oracle("hivexsh")?;
        let file = self.folder.path().join("hive");
        fs_err::write(&file, self.image.read(&path(hive)).unwrap()).unwrap();
        let script = self.folder.path().join("script");
        fs_err::write(&script, commands.join("\n") + "\n").unwrap();
        let printed = tool.run(["-f".as_ref(), script.as_os_str(), file.as_os_str()]);
        Some(String::from_utf8(printed).unwrap().lines().map(str::to_owned).collect())
    }
}
