//! The cells of the matrix {clients} × {assignors} × {places}: what is done to a group, and what must come of it.
//!
//! Promises: a cell ends in one line of numbers, or in an error that tells the group's story. Called by `tests/groups.rs`
//! (the light ones) and by the program `group_matrix` (all of them).

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::company::{Company, Shape, unique};
use crate::fleet::{self, Fleet};
use crate::members::Library;
use crate::ownership::Report;
use crate::process::Sluice;

/// The session timeout of members that are killed or paused: Kafka's least.
const SESSION_MS: u64 = 6_000;
/// That of static members, which must be back before it has passed.
const STATIC_SESSION_MS: u64 = 45_000;
/// Longest until members that have lost their gateway work again.
const RECOVERED: Duration = Duration::from_secs(40);

fn line(report: &Report, since: Instant) -> String {
    let Report { records, again, assignments, errors } = report;
    let seconds = since.elapsed().as_secs_f64();
    format!(
        "{records} records, {again} again after kills and pauses, {assignments} assignments, {errors} errors survived, {seconds:.1} s"
    )
}

/// Members of one library: two join, a third is added, one leaves, one is killed and replaced, and, if asked for, one is
/// paused until it has lost everything.
///
/// # Errors
/// Whatever the group did wrong.
pub fn own_group(fleet: &Fleet, library: Library, assignor: &str, with_pause: bool) -> anyhow::Result<String> {
    let since = Instant::now();
    let name = format!("{}-{assignor}", library.name());
    let shape = Shape { name: &name, assignor, partitions: 6, session_ms: SESSION_MS };
    let mut company = Company::start(fleet, &shape)?;
    let first = company.join(library)?;
    let second = company.join(library)?;
    company.settle("two joined")?;
    let third = company.join(library)?;
    company.settle("one was added")?;
    company.stop(&first)?;
    company.settle("one left")?;
    company.kill(&second)?;
    company.join(library)?;
    company.settle("one was killed, and another added")?;
    if with_pause {
        company.pause_and_resume(&third)?;
    }
    Ok(line(&company.finish(false)?, since))
}

/// One member of each library in one group, with `range`; `turn` says which of them leave, are killed and paused.
///
/// # Errors
/// Whatever the group did wrong.
pub fn mixed_group(fleet: &Fleet, libraries: &[Library], turn: usize) -> anyhow::Result<String> {
    let since = Instant::now();
    let shape = Shape { name: "mixed", assignor: "range", partitions: 12, session_ms: SESSION_MS };
    let mut company = Company::start(fleet, &shape)?;
    let mut names = Vec::new();
    for library in libraries {
        names.push(company.join(*library)?);
    }
    company.settle("all joined")?;
    let pick = |n: usize| (turn + n) % libraries.len();
    company.stop(&names[pick(0)])?;
    company.settle("one left")?;
    names[pick(0)] = company.join(libraries[pick(0)])?;
    company.settle("one came back")?;
    company.kill(&names[pick(1)])?;
    names[pick(1)] = company.join(libraries[pick(1)])?;
    company.settle("one was killed, and another added")?;
    if libraries.len() > 2 {
        company.pause_and_resume(&names[pick(2)])?;
    }
    Ok(line(&company.finish(false)?, since))
}

/// Static members: one is stopped, one is killed; both come back with their instance id before their session has passed,
/// and nothing is rebalanced: same generation, same assignment.
///
/// # Errors
/// Whatever the group did wrong.
pub fn static_group(fleet: &Fleet, library: Library, assignor: &str) -> anyhow::Result<String> {
    let since = Instant::now();
    let name = format!("static-{}-{assignor}", library.name());
    let shape = Shape { name: &name, assignor, partitions: 6, session_ms: STATIC_SESSION_MS };
    let probe = unique("probe");
    fleet::create_topic(fleet.gateways()[0], &probe, 1)?;
    let mut company = Company::start(fleet, &shape)?;
    let first = company.join_as(library, Some("one"))?;
    let second = company.join_as(library, Some("two"))?;
    company.settle("two joined")?;
    let before = company.assignment();
    let any = |n: usize| fleet.gateways()[n % fleet.gateways().len()];
    let generation = fleet::generation(any(0), &company.membership.group, &probe, 1)?;

    company.stop(&first)?;
    let first_again = company.join_as(library, Some("one"))?;
    company.settle("a static member was restarted")?;
    company.kill(&second)?;
    let second_again = company.join_as(library, Some("two"))?;
    company.settle("a static member was killed and restarted")?;

    let after = company.assignment();
    ensure!(
        before.get(&first) == after.get(&first_again) && before.get(&second) == after.get(&second_again),
        "{before:?} became {after:?}\n{}",
        company.story()
    );
    let found = fleet::generation(any(1), &company.membership.group, &probe, generation)?;
    ensure!(found == generation, "the generation went from {generation} to {found}\n{}", company.story());
    let report = company.finish(true)?;
    Ok(format!("generation {generation} throughout, {}", line(&report, since)))
}

/// Every gateway is killed and started again: first under the members, who keep their generation, then while nobody is
/// there, who finds the committed offsets again.
///
/// # Errors
/// Whatever was lost.
pub fn restarted_gateways(fleet: &mut Fleet, libraries: [Library; 2]) -> anyhow::Result<String> {
    let since = Instant::now();
    // Long enough for the members to be judged by no timeout while nobody is there to serve them.
    let shape = Shape { name: "restarts", assignor: "range", partitions: 6, session_ms: 30_000 };
    let probe = unique("probe");
    fleet::create_topic(fleet.gateways()[0], &probe, 1)?;
    // The members outlive a borrow of the fleet, whose processes are restarted under them.
    let processes = std::mem::take(&mut fleet.processes);
    let outcome = restart_under(fleet, processes, &shape, &probe, libraries);
    let (report, processes) = outcome?;
    fleet.processes = processes;
    Ok(line(&report, since))
}

fn restart_under(
    fleet: &Fleet,
    mut processes: Vec<Sluice>,
    shape: &Shape<'_>,
    probe: &str,
    libraries: [Library; 2],
) -> anyhow::Result<(Report, Vec<Sluice>)> {
    let mut company = Company::start(fleet, shape)?;
    let [first, second] = [company.join(libraries[0])?, company.join(libraries[1])?];
    company.settle("two joined")?;
    let (group, topic) = (company.membership.group.clone(), company.membership.topic.clone());
    let generation = fleet::generation(fleet.gateways()[0], &group, probe, 1)?;

    processes.iter_mut().for_each(Sluice::kill);
    processes.iter_mut().for_each(Sluice::restart);
    company.progress("every gateway was restarted under the members", RECOVERED)?;
    let found = fleet::generation(fleet.gateways()[0], &group, probe, generation)?;
    ensure!(found == generation, "the generation went from {generation} to {found}\n{}", company.story());

    company.stop(&first)?;
    company.stop(&second)?;
    let before = fleet::committed(fleet.gateways()[0], &group, &topic, shape.partitions)?;
    ensure!(!before.is_empty(), "nothing was committed\n{}", company.story());
    processes.iter_mut().for_each(Sluice::kill);
    processes.iter_mut().for_each(Sluice::restart);
    for gateway in fleet.gateways() {
        let after = fleet::committed(*gateway, &group, &topic, shape.partitions)?;
        ensure!(after == before, "{before:?} was committed, and {gateway} shows {after:?} after its restart");
    }
    company.join(libraries[1])?;
    company.join(libraries[0])?;
    company.settle("two joined again")?;
    Ok((company.finish(false)?, processes))
}

/// The libraries of a cell, if all of them are to be had.
///
/// # Errors
/// Which one is not.
pub fn have(libraries: &[Library]) -> anyhow::Result<()> {
    for library in libraries {
        library.command().with_context(|| format!("{} is not to be had", library.name()))?;
    }
    Ok(())
}
