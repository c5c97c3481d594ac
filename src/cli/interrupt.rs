//! Ctrl-C.
//!
//! A command that only reads has nothing to clean up: Ctrl-C ends it at once. A command that writes says so with
//! [`Interrupt::cooperative`]: from then on Ctrl-C sets a flag that the writing code polls, so that temporary files are removed; a second
//! Ctrl-C ends the program at once (the next build copes with what is left).

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{exit::Exit, output, progress};

/// Whether the user pressed Ctrl-C, and who acts on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt {
    pressed: Arc<AtomicBool>,
    cooperative: Arc<AtomicBool>,
}

impl Interrupt {
    /// Installs the handler for the whole process. Without one (it can be refused) Ctrl-C ends the process as the system does.
    pub(crate) fn install() -> Self {
        let interrupt = Self::default();
        let handler = interrupt.clone();
        if let Err(error) = ctrlc::set_handler(move || handler.on_signal()) {
            tracing::debug!("no Ctrl-C handler: {error}");
        }
        interrupt
    }

    /// From now on Ctrl-C only sets the flag: the caller polls [`Interrupt::pressed`].
    pub(crate) fn cooperative(&self) {
        self.cooperative.store(true, Ordering::SeqCst);
    }

    /// True when the user wants to stop.
    pub(crate) fn pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }

    /// A second Ctrl-C, or one while nothing is being written, ends the program at once.
    fn on_signal(&self) {
        let again = self.pressed.swap(true, Ordering::SeqCst);
        if again || !self.cooperative.load(Ordering::SeqCst) {
            progress::clear();
            output::say(match again {
                true => "interrupted at once; the next run copes with what is left",
                false => "interrupted: the same command begins anew",
            });
            std::process::exit(i32::from(Exit::Interrupted.code()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cooperative_command_sees_the_flag() {
        let interrupt = Interrupt::default();
        interrupt.cooperative();
        assert!(!interrupt.pressed());
        interrupt.on_signal();
        assert!(interrupt.pressed());
    }
}
