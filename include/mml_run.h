/*
 * mml_run.h - a training that several processes take part in, that pauses, and
 * that can be taken up again from stored bytes after all of them have gone.
 */
#ifndef MML_RUN_H
#define MML_RUN_H

#include "mml.h"

/*
 * The participants of one training.  All run the same program in lockstep;
 * barrier returns when all `size` have called it.  Rank 0 leads.  {0, 1, NULL,
 * NULL} is serial.  The model does not depend on size.
 */
typedef struct mml_team
{
	int			rank;
	int			size;
	void		(*barrier) (void *self);
	void	   *self;
} mml_team;

/*
 * A training, mml_train() in pieces.  The leader:
 *
 *   mml_run_create()        a run in memory of its host's `share`
 *   mml_run_blocks()        where that memory is, for the others to map
 *   mml_run_take_part()     with rank 0, until mml_run_is_done()
 *   mml_run_finish()        the model
 *   mml_run_free()
 *
 * Each of the others: mml_run_attach(), mml_run_take_part() with its rank,
 * mml_run_free().  Who fails leaves without a word to the others: the glue must
 * end them all.
 */
typedef struct mml_run mml_run;

/*
 * *size: how many could take part; lowered to what memory allows, and to 1
 * where there is none to share.  Config is checked; rows as for mml_train().
 */
extern mml_status mml_run_create(mml_host *host, mml_rows *rows, const mml_config *config, int *size, mml_run **run);

/* Number of blocks of shared memory; blocks[i]: where they are; *image: where in one of them the run itself is. */
extern int	mml_run_blocks(const mml_run *run, void *const **blocks, const void **image);

/* blocks: [n] in the same order, image: where this process sees them. */
extern mml_status mml_run_attach(mml_host *host, void *const *blocks, int n, const void *image, mml_run **run);

/* Training rows; bytes that all participants need together. */
extern size_t mml_run_rows(const mml_run *run);
extern size_t mml_run_bytes(const mml_run *run);

/* The most that a participant may take for itself: what the limit leaves, in equal parts; 0 = no limit. */
extern size_t mml_run_own_bytes(const mml_run *run);

/*
 * By the leader, before it takes part: have mml_run_take_part() return after
 * every epoch, in phase experts when all rows were trained on once more.  It is
 * to be called again, by any team, until the run is done.  The model does not
 * depend on it.
 */
extern void mml_run_set_pauses(mml_run *run);
extern bool mml_run_is_done(const mml_run *run);
extern mml_status mml_run_take_part(mml_run *run, mml_host *host, const mml_team *team);
extern mml_status mml_run_finish(mml_run *run, mml_model **model);
extern void mml_run_free(mml_run *run);

/* -------------------------------------------------------------- checkpoints */

/*
 * A paused run as bytes, in parts.  Only those that are needed to go on exist:
 * what a phase does not train does not change from one pause to the next.  Part
 * MML_CHECKPOINT_MODEL is a whole model as mml_model_save() writes one, with the
 * values of the moment and without figures; the others are for this machine and
 * this version of the core.
 */
#define MML_CHECKPOINT_HEAD 0
#define MML_CHECKPOINT_MODEL 1
#define MML_CHECKPOINT_PARTS 22

extern bool mml_run_has_part(const mml_run *run, int part);
extern mml_status mml_run_save(const mml_run *run, int part, const mml_writer *writer);

/*
 * What a checkpoint must share with a run to go on there: the rows, the options
 * that the model depends on, what it began with, and the form of the bytes.
 * Against accidents, not against forgers.
 */
#define MML_IDENTITY_WORDS 2
extern mml_status mml_run_identity(const mml_run *run, uint64_t *identity);

/*
 * Takes a part into a run that was just created, of the same identity; first
 * MML_CHECKPOINT_HEAD, then all of which mml_run_has_part() says so.  The bytes
 * are not trusted: MML_BAD_MODEL, and the run can only be freed.
 */
extern mml_status mml_run_restore(mml_run *run, int part, const mml_reader *reader);

/* Where a run stands: the phase that is next or under way, and epochs done of it (experts: of all). */
typedef struct mml_standing
{
	mml_phase	phase;
	int			epoch;
	double		fraction;		/* of the whole training, at worst; 0..1 */
} mml_standing;

extern void mml_run_standing(const mml_run *run, mml_standing *standing);

#endif							/* MML_RUN_H */
