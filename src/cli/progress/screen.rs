//! The lines at the bottom of a terminal that change while something runs.
//!
//! What runs only notes how far it is; a thread of its own draws that ten times a second, in one piece, so that nothing flickers and nobody waits for the terminal.
//! Other lines go above (`above`), and whatever ends the work, an error or Ctrl-C too, takes everything away.

use std::{
    sync::{Arc, Condvar, LazyLock, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long work may take before something is shown.
const PATIENCE: Duration = Duration::from_millis(250);
/// Pause between two pictures.
const PAUSE: Duration = Duration::from_millis(100);
/// Columns of a terminal that does not say how many it has.
const USUAL_WIDTH: usize = 80;

/// Something that can be drawn as lines.
pub(super) trait Picture: Send + Sync {
    /// The lines as they are now, each of at most `width` columns.
    fn lines(&self, width: usize) -> Vec<String>;
}

/// What is on the screen: one picture at a time.
static SHOWN: LazyLock<Mutex<Option<ProgressBar>>> = LazyLock::new(Mutex::default);

/// Runs `tell`, which writes lines to standard error, above what is on the screen.
pub(crate) fn above(tell: impl FnOnce()) {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    match &*shown {
        Some(bar) => bar.suspend(tell),
        None => tell(),
    }
}

/// Takes everything from the screen, for a program that ends now.
pub(crate) fn clear() {
    if let Some(bar) = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take() {
        bar.finish_and_clear();
    }
}

/// A picture that is drawn until this goes away.
pub(super) struct Live {
    stop: Arc<(Mutex<bool>, Condvar)>,
    drawing: Option<JoinHandle<()>>,
}

impl Live {
    /// Draws `picture` from a moment later on: quick work stays silent.
    pub(super) fn start(picture: Arc<dyn Picture>) -> Self {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let seen = Arc::clone(&stop);
        let drawing = std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || draw(picture.as_ref(), &seen))
            .ok();
        Self { stop, drawing }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let (stopped, signal) = &*self.stop;
        *stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        signal.notify_all();
        if let Some(drawing) = self.drawing.take() {
            // It does nothing that could panic; if it did, there is nothing left to draw.
            drawing.join().ok();
        }
    }
}

/// Draws until it is told to stop, then clears.
fn draw(picture: &dyn Picture, stop: &(Mutex<bool>, Condvar)) {
    if waited(stop, PATIENCE) {
        return;
    }
    let mut own: Option<ProgressBar> = None;
    loop {
        let size = terminal_size::terminal_size_of(std::io::stderr());
        let width = size.map_or(USUAL_WIDTH, |(width, _)| usize::from(width.0));
        // The last column stays free: some terminals begin a new line there.
        let lines = picture.lines(width.saturating_sub(1).max(1));
        let bar = own.get_or_insert_with(|| {
            let bar = new_bar();
            *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
            bar
        });
        // Under the lock: a program that ends meanwhile has cleared the screen for good.
        {
            let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
            if shown.is_some() {
                // This draws, too.
                bar.set_message(lines.join("\n"));
            }
        }
        if waited(stop, PAUSE) {
            break;
        }
    }
    clear();
}

fn new_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(20)).with_style(style)
}

/// True when it is time to stop, at the latest after `pause`.
fn waited(stop: &(Mutex<bool>, Condvar), pause: Duration) -> bool {
    let (stopped, signal) = stop;
    let guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
    match signal.wait_timeout_while(guard, pause, |stopped| !*stopped) {
        Ok((stopped, _)) => *stopped,
        Err(_) => true,
    }
}
