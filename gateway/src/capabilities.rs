//! The capabilities of a process that an unprivileged user starts in a container. There, the
//! container's capabilities are only a limit: the program gets those that its file has (setcap),
//! and programs that it starts, such as `nft`, get none.

use nix::unistd::geteuid;
use rustix::io;
use rustix::thread::{
    CapabilitySet, capabilities, configure_capability_in_ambient_set, no_new_privs,
    set_capabilities,
};

/// Raises the permitted capabilities for this process and the programs that it starts.
///
/// Only if `no_new_privs` is set: then the process has no more than the one that started it, and
/// passes on no right that its user gained by starting it. Call it while the process has one
/// thread.
pub fn pass_on() {
    if let Err(error) = raise() {
        tracing::warn!(%error, "Programs that are started lack this process's capabilities");
    }
}

fn raise() -> io::Result<()> {
    if geteuid().is_root() || !no_new_privs()? {
        return Ok(());
    }
    let mut sets = capabilities(None)?;
    if sets.effective == sets.permitted && are_ambient(sets.permitted)? {
        return Ok(());
    }

    sets.effective = sets.permitted;
    sets.inheritable = sets.permitted;
    set_capabilities(None, sets)?;
    for capability in sets.permitted.iter() {
        configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

/// True if all of `capabilities` are already ambient, as with systemd.
fn are_ambient(capabilities: CapabilitySet) -> io::Result<bool> {
    for capability in capabilities.iter() {
        if !rustix::thread::capability_is_in_ambient_set(capability)? {
            return Ok(false);
        }
    }
    Ok(true)
}
