//! One pool of threads for everything: our kernels, gemm, and candle's own ops.
//!
//! [`run`] builds rayon's global pool with deep stacks and runs a program inside it. Work that
//! starts inside the pool needs no hand-over for each parallel loop, and graphs of many
//! thousand nodes do not overflow the stack. Results do not depend on the number of threads.
//!
//! ```
//! let sum = mapsto_tensor::threads::run(1, || (1..=4).sum::<i32>());
//! assert_eq!(sum, 10);
//! ```

use std::cell::Cell;
use std::sync::Once;

/// Stack of pool threads and of the helper thread of [`on_deep_stack`]; only touched pages cost
/// memory.
const DEEP_STACK: usize = 1 << 28;

thread_local! {
    static IS_DEEP: Cell<bool> = const { Cell::new(false) };
}

/// Runs `program` inside a pool of `threads` threads (0: one for each processor).
///
/// Call it once, first thing in `main`: the first call sets environment variables, which no other
/// thread may read meanwhile. If a pool exists already, `program` runs in that one. With
/// the feature `mimalloc` it also tells that allocator to keep what is freed for the next step.
pub fn run<R: Send>(threads: usize, program: impl FnOnce() -> R + Send) -> R {
    #[cfg(feature = "mimalloc")]
    allocator::keep_memory();
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    // A second call finds threads that may read the environment, and has nothing to say to them.
    static FIRST: Once = Once::new();
    FIRST.call_once(|| set_variables(threads));
    // An error means that the pool exists already, which is what a second call wants.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .stack_size(DEEP_STACK)
        .start_handler(|_| IS_DEEP.set(true))
        .build_global();
    rayon::scope(|_| program())
}

fn set_variables(threads: usize) {
    // candle sizes its gemm and its pool for elementwise ops by these variables, at first use.
    set_variable("RAYON_NUM_THREADS", &threads.to_string());
    // A second pool, whose threads spin while they wait, takes the processors from the first.
    set_variable("CANDLE_NUM_THREADS", "1");
    // candle appends a backtrace to the text of every error where RUST_BACKTRACE is set, which
    // is for panics; RUST_LIB_BACKTRACE=1 asks for those of errors.
    if std::env::var_os("RUST_LIB_BACKTRACE").is_none() {
        set_variable("RUST_LIB_BACKTRACE", "0");
    }
}

fn set_variable(name: &str, value: &str) {
    // SAFETY: `set_var` races only with other threads that read the environment by C calls;
    // `run` comes first in `main`, before its program has started any thread.
    #[allow(unsafe_code)]
    unsafe {
        std::env::set_var(name, value);
    }
}

/// The number of threads that kernels spread over.
pub fn count() -> usize {
    rayon::current_num_threads()
}

/// Runs `work` where recursion may go deep: here if this thread's stack is deep, otherwise on a
/// helper thread.
///
/// candle walks a graph recursively, in its backward pass and when the graph is dropped.
/// [`backward`](crate::backward()) comes here by itself; a program outside [`run`] whose graphs
/// have more than some 50,000 nodes also has to drop them here.
///
/// # Errors
/// When no helper thread can be had.
pub fn on_deep_stack<R: Send>(work: impl FnOnce() -> R + Send) -> std::io::Result<R> {
    if IS_DEEP.get() {
        return Ok(work());
    }
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new()
            .name("deep stack".to_owned())
            .stack_size(DEEP_STACK)
            .spawn_scoped(scope, work)?;
        match worker.join() {
            Ok(result) => Ok(result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// mimalloc gives memory that nobody used for a second back to the system, which then has to clear
/// it: a tenth of the time of steps about that long.
#[cfg(feature = "mimalloc")]
mod allocator {
    use libmimalloc_sys::{mi_option_set, mi_option_t};

    /// `mi_option_purge_delay`, in milliseconds.
    pub(super) const PURGE_DELAY: mi_option_t = 15;

    pub(super) const MILLISECONDS: std::ffi::c_long = 30_000;

    pub(super) fn keep_memory() {
        // SAFETY: an option is a number that may be set at any time.
        #[allow(unsafe_code)]
        unsafe {
            mi_option_set(PURGE_DELAY, MILLISECONDS);
        }
    }
}

#[cfg(all(test, feature = "mimalloc"))]
mod tests {
    use super::allocator::{MILLISECONDS, PURGE_DELAY, keep_memory};

    #[test]
    fn the_option_is_the_delay_and_is_set() {
        // SAFETY: reads a number.
        #[allow(unsafe_code)]
        let value = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        // The default by which the option is known: others have other ones.
        assert_eq!(value(), 1000);
        keep_memory();
        assert_eq!(value(), MILLISECONDS);
    }
}
