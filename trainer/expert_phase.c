/*
 * expert_phase.c - phase experts: each expert on the rows of its domain, and who
 * trains which.  After a pause it goes on with the experts that are not over.
 *
 * A participant trains a domain by itself, as a team of one, and then takes the
 * next one from a queue.  That leaves some idle where one domain is large, or
 * where few are left: so the largest may be trained by all together first.  An
 * expert does not depend on who trains it.
 */
#include <math.h>
#include <string.h>

#include "mml_train.h"

#define ROWS_PER_POLL 65536
#define TOGETHER 0.85			/* of the speed of all alone that all together reach */
#define MOST_TOGETHER 16		/* times the participants: more domains need no thought */

/* Domains with experts. */
static size_t
count_domains(const mml_run *run)
{
	return (size_t) (run->shape.n_experts / run->config.experts_per_domain);
}

/* ------------------------------------------------------------------- train */

/* Whether an expert can be chosen by its domain's validation rows. */
static bool
has_both_classes(const mml_member *member, uint32_t domain)
{
	size_t		n_positive = 0;
	size_t		n = member->valid_start[domain + 1] - member->valid_start[domain];

	for (size_t i = 0; i < n; i++)
		n_positive += member->labels[member->valid_start[domain] + i] > 0.5f;
	return n_positive > 0 && n_positive < n;
}

/* One expert, by the member's team: all, or itself alone. */
static mml_status
run_expert(mml_member *member, int expert)
{
	mml_run    *run = member->run;
	mml_cursor *cursor = &member->cursors[expert];
	uint32_t	domain = member->data.expert_domain[expert / run->config.experts_per_domain];
	mml_phase_plan plan = {
		.phase = MML_PHASE_EXPERTS,.mode = MML_MODE_EXPERT,.expert = expert,.domain = domain,
		.groups = MML_GROUP_EXPERT,.learning_rate = run->config.learning_rate,
		.rows = member->shuffled + member->domain_start[domain],
		.n_rows = member->domain_start[domain + 1] - member->domain_start[domain],
		.valid_first = member->valid_start[domain],
		.n_valid = member->valid_start[domain + 1] - member->valid_start[domain],
		.run_index = run->n_phases
	};

	if (run->n_valid == 0 || has_both_classes(member, domain))
		return mml_phase_run(member, &plan, cursor);
	if (member->team.rank == 0)
		*cursor = (mml_cursor) {.is_over = 1,.outcome = {.best_epoch = -1,.train_logloss = NAN}};
	mml_barrier(member);
	return MML_OK;
}

/* The experts of one domain, one after the other: they shuffle the same rows. */
static mml_status
run_domain(mml_member *member, uint32_t place)
{
	int			per_domain = member->run->config.experts_per_domain;

	for (int e = 0; e < per_domain; e++)
	{
		int			expert = (int) place * per_domain + e;

		MML_TRY(run_expert(member, expert));
		if (!member->cursors[expert].is_over || mml_pause_is_due(member))
			break;
	}
	return MML_OK;
}

/* The domains that this participant gets from the queue, as a team of one. */
static mml_status
run_my_domains(mml_member *member)
{
	mml_team	team = member->team;
	mml_batch	shared_batch = member->batch;
	mml_control *shared_control = member->control;
	mml_status	status = MML_OK;

	member->team.rank = 0;
	member->team.size = 1;
	member->batch = member->own_batch;
	member->own_control = (mml_control) {.is_late = shared_control->is_late};
	member->control = &member->own_control;
	while (status == MML_OK && !mml_pause_is_due(member))
	{
		uint32_t	next = __atomic_fetch_add(&shared_control->next_domain, 1, __ATOMIC_RELAXED);

		if (next >= shared_control->n_queued)
			break;
		status = run_domain(member, member->queue[next]);
	}
	member->team = team;
	member->batch = shared_batch;
	member->control = shared_control;
	return status;
}

/* The domains at the head of the queue, by all. */
static mml_status
run_our_domains(mml_member *member)
{
	uint32_t	n = member->control->first_alone;

	for (uint32_t i = 0; i < n && !mml_pause_is_due(member); i++)
	{
		MML_TRY(run_domain(member, member->queue[i]));
		mml_barrier(member);
	}
	return MML_OK;
}

/* ------------------------------------------------------------------- queue */

/* The training rows by domain, each domain's in canonical order. */
static mml_status
group_rows(mml_member *member)
{
	mml_run    *run = member->run;

	memcpy(member->counts, member->domain_start, run->n_domain_ids * sizeof(uint32_t));
	for (size_t i = 0; member->team.rank == 0 && i < run->n_train; i++)
	{
		uint32_t	row = member->order[i];

		member->shuffled[member->counts[mml_data_record(&member->data, row)[MML_ROW_DOMAIN]]++] = row;
		if (i % ROWS_PER_POLL == ROWS_PER_POLL - 1)
			MML_TRY(mml_poll(member->host));
	}
	mml_barrier(member);
	return MML_OK;
}

/* Training rows of the domain in a place of the queue. */
static double
rows_of_place(const mml_member *member, uint32_t place)
{
	uint32_t	domain = member->data.expert_domain[place];

	return (double) (member->domain_start[domain + 1] - member->domain_start[domain]);
}

/* Sorts the queue by training rows: when the last domains are taken, all are nearly done. */
static mml_status
sort_queue(mml_member *member, size_t n)
{
	uint64_t   *keys;
	uint64_t   *spare_keys = NULL;
	uint32_t   *spare = NULL;
	mml_status	status = MML_NEW(member->host, keys, n);

	if (status == MML_OK)
		status = MML_NEW(member->host, spare_keys, n);
	if (status == MML_OK)
		status = MML_NEW(member->host, spare, n);
	for (size_t i = 0; status == MML_OK && i < n; i++)
		keys[i] = UINT64_MAX - (uint64_t) rows_of_place(member, member->queue[i]);
	if (status == MML_OK)
		status = mml_sort(member->host, keys, member->queue, spare_keys, spare, n);
	mml_release(member->host, keys);
	mml_release(member->host, spare_keys);
	mml_release(member->host, spare);
	return status;
}

/* When the last participant is done with the queue from place `first` on: in rows. loads: [size]. */
static double
rows_until_done(const mml_member *member, size_t first, double *loads)
{
	size_t		n = member->control->n_queued;
	double		most = 0.0;

	memset(loads, 0, (size_t) member->team.size * sizeof(*loads));
	for (size_t i = first; i < n; i++)
	{
		int			free = 0;

		for (int j = 1; j < member->team.size; j++)
			if (loads[j] < loads[free])
				free = j;
		loads[free] += rows_of_place(member, member->queue[i]);
		most = MML_MAX(most, loads[free]);
	}
	return most;
}

/* How many of the largest domains all should train together, for all to be done soonest. */
static mml_status
plan_together(mml_member *member, uint32_t *n_together)
{
	double		size = (double) member->team.size;
	size_t		n = MML_MIN((size_t) member->control->n_queued, (size_t) member->team.size * 2);
	double		together = 0.0;
	double		soonest;
	double	   *loads;

	*n_together = 0;
	if (member->control->n_queued > (size_t) member->team.size * MOST_TOGETHER)
		return MML_OK;
	MML_TRY(MML_NEW(member->host, loads, (size_t) member->team.size));
	soonest = rows_until_done(member, 0, loads);
	for (uint32_t i = 0; i < n; i++)
	{
		double		done;

		together += rows_of_place(member, member->queue[i]) / (size * TOGETHER);
		done = together + rows_until_done(member, i + 1, loads);
		if (done < soonest)
		{
			soonest = done;
			*n_together = i + 1;
		}
	}
	mml_release(member->host, loads);
	return MML_OK;
}

/* Whether no expert of the domain in a place is left to train. */
static bool
is_done(const mml_member *member, uint32_t place)
{
	int			per_domain = member->run->config.experts_per_domain;
	const mml_cursor *cursors = &member->cursors[(size_t) place * (size_t) per_domain];

	for (int e = 0; e < per_domain; e++)
		if (!cursors[e].is_over)
			return false;
	return true;
}

/* By the leader.  Where a domain is added, all train that one. */
static mml_status
open_queue(mml_member *member)
{
	uint32_t	n_domains = (uint32_t) count_domains(member->run);
	uint32_t	n_together = 0;
	uint32_t	n = 0;

	for (uint32_t place = 0; place < n_domains; place++)
		if (!is_done(member, place))
			member->queue[n++] = place;
	member->control->n_queued = n;
	if (member->run->new_domain > 0)
		n_together = n;
	else if (member->team.size > 1)
	{
		MML_TRY(sort_queue(member, n));
		MML_TRY(plan_together(member, &n_together));
	}
	member->control->first_alone = n_together;
	member->control->next_domain = n_together;
	return MML_OK;
}

/* By the leader: the epochs of the experts that others have trained. */
static void
report_others(mml_member *member)
{
	mml_run    *run = member->run;
	mml_host   *host = member->host;

	for (int e = 0; host->report != NULL && e < run->shape.n_experts; e++)
		for (int epoch = 0; epoch <= run->config.epochs; epoch++)
		{
			mml_epoch  *logged = mml_share_epoch(run, e, epoch);

			if (logged == NULL)
				return;
			if (logged->n_experts == 0)
				continue;
			logged->run = run->n_phases;
			logged->domain_name = run->rows->names->entries[logged->domain].name;
			logged->fraction = run->work_total > 0.0 ? run->work_done / run->work_total : 0.0;
			host->report(host->self, logged);
			logged->n_experts = 0;
		}
}

/* ----------------------------------------------------------------- program */

/* No expert is trained yet; where a domain is added, those of the others are not to be. */
static void
clear_cursors(mml_member *member)
{
	const mml_run *run = member->run;
	int			per_domain = run->config.experts_per_domain;

	for (int e = 0; e < run->shape.n_experts; e++)
	{
		bool		is_wanted = run->new_domain == 0 || member->data.expert_domain[e / per_domain] == run->new_domain;

		member->cursors[e] = (mml_cursor) {.is_over = !is_wanted,.outcome.train_logloss = NAN};
	}
}

/* What has to be done once before the first expert. */
static mml_status
begin(mml_member *member)
{
	if (!member->course->is_grouped)
		MML_TRY(group_rows(member));
	if (!member->course->has_experts)
		MML_TRY(mml_copy_states(member, MML_GROUP_EXPERT, MML_COPY_CLEAR_MOMENTS));
	mml_barrier(member);
	if (member->team.rank != 0)
		return MML_OK;
	if (!member->course->has_experts)
		clear_cursors(member);
	member->course->has_experts = 1;
	member->course->is_grouped = 1;
	return open_queue(member);
}

mml_status
mml_train_experts(mml_member *member)
{
	double		started;

	MML_TRY(begin(member));
	mml_barrier(member);
	started = member->host->seconds(member->host->self);
	MML_TRY(run_our_domains(member));
	MML_TRY(run_my_domains(member));
	mml_barrier(member);
	if (member->team.rank != 0)
		return MML_OK;
	member->course->experts_seconds += member->host->seconds(member->host->self) - started;
	report_others(member);
	return MML_OK;
}
