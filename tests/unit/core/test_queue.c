#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "core/queue.h"
#include "core_build.h"

#define ONE SLO_LOAD_ONE
#define MAX 64

/* Deployment fast: 128 tokens weigh 1/8, 2048 a whole server; slow: a quarter and four times as
 * long. One server each. The target is 10 s end to end. */
struct fixture {
	struct pool m;
	struct deployment *fast, *slow;
	struct server *f1, *s1, *late;
	struct queue q;
	struct request *made[MAX];
	size_t n;
	slo_nsec now; /* of the pushes */
};

static int make(void **state)
{
	const double in[] = { 128, 2048 }, tputs[] = { 8, 1 };
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f || fleet_pool_init(&f->m, "m") != SLO_OK)
		return -1;
	f->fast = fleet_deployment_new(&f->m, "fast");
	f->slow = fleet_deployment_new(&f->m, "slow");
	f->f1 = fleet_server_new("f1");
	f->s1 = fleet_server_new("s1");
	if (fleet_seat(f->fast, f->f1) != SLO_OK || fleet_seat(f->slow, f->s1) != SLO_OK)
		return -1;
	f->fast->profile = profile_by_input(2, in, tputs, 10);
	f->slow->profile =
	    profile_of(&(struct one_cell){ .tput = 1, .e2e = 4, .slo_e2e = 10, .created = 1 });
	queue_init(&f->q, &f->m, SLO_LATE_HOLD);
	*state = f;
	return 0;
}

static int drop(void **state)
{
	struct fixture *f = *state;

	queue_check(&f->q);
	queue_fini(&f->q);
	for (size_t i = 0; i < f->n; i++)
		free(f->made[i]);
	fleet_pool_fini(&f->m);
	fleet_server_free(f->f1);
	fleet_server_free(f->s1);
	fleet_server_free(f->late);
	free(f);
	return 0;
}

static struct request *push(struct fixture *f, slo_nsec created, int32_t input, int32_t output)
{
	struct request *r = calloc(1, sizeof(*r) + 1);

	assert_non_null(r);
	assert_true(f->n < MAX);
	r->state = REQUEST_QUEUED;
	r->created = created;
	r->input = input;
	r->output = output;
	r->seq = f->n;
	f->made[f->n++] = r;
	assert_int_equal(queue_push(&f->q, f->now, r), SLO_OK);
	queue_check(&f->q);
	return r;
}

static void take(struct fixture *f, struct request *r)
{
	queue_remove(&f->q, r);
	r->state = REQUEST_OVER;
	queue_check(&f->q);
}

static struct request *candidate(struct fixture *f, slo_nsec now)
{
	struct bucket *b = queue_candidate(&f->q, now);

	return b ? b->first : NULL;
}

static void block(struct fixture *f, struct request *r, slo_nsec now)
{
	queue_block(&f->q, r->bucket, now);
	queue_check(&f->q);
}

/* Everything in both servers is taken. */
static void fill(struct fixture *f, struct charge *fast, struct charge *slow)
{
	fleet_charge(f->f1->seats, ONE, fast);
	fleet_charge(f->s1->seats, ONE, slow);
}

static void free_up(struct server *s, struct charge *c)
{
	assert_int_equal(fleet_release(s, c), SLO_OK);
	fleet_freed(s->seats->deployment);
}

static void an_empty_queue_has_no_candidate(void **state)
{
	struct fixture *f = *state;

	assert_null(candidate(f, 0));
	queue_set_late(&f->q, SLO_LATE_REJECT);
	assert_null(candidate(f, 0));
	queue_set_late(&f->q, SLO_LATE_SERVE);
	assert_null(candidate(f, 0));
	assert_int_equal(f->q.length, 0);
}

static void heads_come_by_least_slack(void **state)
{
	struct fixture *f = *state;
	struct request *loose = push(f, SEC(2), 128, 64);
	struct request *tight = push(f, SEC(1), 2048, 64);
	struct request *late = push(f, SEC(-50), 2048, 1024);

	assert_ptr_equal(candidate(f, SEC(3)), late);
	take(f, late);
	assert_ptr_equal(candidate(f, SEC(3)), tight);
	take(f, tight);
	assert_ptr_equal(candidate(f, SEC(3)), loose);
	take(f, loose);
	assert_null(candidate(f, SEC(3)));
}

static void a_tie_goes_to_the_earlier_created_and_then_to_the_earlier_arrival(void **state)
{
	struct fixture *f = *state;
	struct request *a = push(f, SEC(1), 128, 64); /* start 1 + 10 - 1 */
	struct request *b = push(f, SEC(1), 2048, 64);
	struct request *c = push(f, SEC(0), 128, 1024);

	c->own.e2e = SEC(11); /* start 0 + 11 - 1 */
	queue_refresh(&f->q);
	assert_ptr_equal(candidate(f, SEC(2)), c);
	assert_true(queue_compare(c->bucket, a->bucket) < 0);
	assert_true(queue_compare(a->bucket, b->bucket) < 0);
	assert_true(queue_compare(b->bucket, a->bucket) > 0);
	assert_int_equal(queue_compare(a->bucket, a->bucket), 0);
}

static void of_one_target_the_first_created_leads_its_bucket(void **state)
{
	struct fixture *f = *state;
	struct request *third = push(f, SEC(5), 500, 64);
	struct request *second = push(f, SEC(-5), 512, 60);
	struct request *first = push(f, SEC(-9), 600, 80);
	struct request *fourth = push(f, SEC(5), 600, 80);

	assert_ptr_equal(first->bucket, third->bucket);
	assert_ptr_equal(candidate(f, SEC(5)), first);
	take(f, second); /* from the middle */
	take(f, first);
	assert_ptr_equal(candidate(f, SEC(5)), third);
	take(f, third);
	assert_ptr_equal(candidate(f, SEC(5)), fourth);
	assert_int_equal(f->q.length, 1);
}

static struct request *push_own(struct fixture *f, slo_nsec e2e)
{
	struct request *r = push(f, 0, 2048, 64);

	take(f, r);
	r->state = REQUEST_QUEUED;
	r->own.e2e = e2e;
	assert_int_equal(queue_push(&f->q, f->now, r), SLO_OK);
	queue_check(&f->q);
	return r;
}

static void inside_a_bucket_the_tight_are_not_held_back_by_the_lax(void **state)
{
	struct fixture *f = *state;
	struct request *lax = push_own(f, SEC(600));
	struct request *usual = push(f, 0, 2048, 64);
	struct request *tight = push_own(f, SEC(2));
	struct charge fast, slow;

	fill(f, &fast, &slow);
	assert_ptr_equal(candidate(f, 0), tight);
	block(f, tight, 0);
	assert_null(candidate(f, 0)); /* the others stand behind it */
	take(f, tight);
	assert_ptr_equal(candidate(f, 0), usual);
	take(f, usual);
	assert_ptr_equal(candidate(f, 0), lax);
}

static void served_late_a_request_may_go_anywhere(void **state)
{
	struct fixture *f = *state;
	struct request *r = push(f, 0, 2048, 64); /* slow until 6, fast until 9 */
	struct charge fast, slow;

	queue_set_late(&f->q, SLO_LATE_SERVE);
	fill(f, &fast, &slow);
	assert_ptr_equal(candidate(f, SEC(7)), r);
	block(f, r, SEC(7));
	free_up(f->s1, &slow);
	assert_null(candidate(f, SEC(9)));
	assert_ptr_equal(candidate(f, SEC(9) + 1), r);
	assert_true(r->start == SLO_NEVER);
	fleet_charge(f->s1->seats, ONE, &slow);
	block(f, r, SEC(10));
	assert_null(candidate(f, SEC(11)));
	free_up(f->s1, &slow);
	assert_ptr_equal(candidate(f, SEC(100)), r);
}

static void served_late_ones_stand_behind_the_others_the_oldest_first(void **state)
{
	struct fixture *f = *state;
	struct request *a, *b, *c, *d;

	queue_set_late(&f->q, SLO_LATE_SERVE);
	b = push(f, SEC(-20), 128, 64);
	a = push(f, SEC(-30), 2048, 64);
	c = push(f, SEC(2), 2048, 64);
	d = push(f, SEC(1), 128, 64);
	assert_ptr_equal(candidate(f, SEC(3)), d);
	take(f, d);
	assert_ptr_equal(candidate(f, SEC(3)), c);
	take(f, c);
	assert_ptr_equal(candidate(f, SEC(3)), a);
	take(f, a);
	assert_ptr_equal(candidate(f, SEC(3)), b);
}

static void what_has_only_one_choice_left_does_not_hold_what_has_two(void **state)
{
	struct fixture *f = *state;
	struct request *first, *second;
	struct charge fast, slow;

	queue_set_late(&f->q, SLO_LATE_SERVE);
	first = push(f, 0, 2048, 64);       /* slow until 6, fast until 9 */
	second = push(f, SEC(3), 2048, 64); /* slow until 9 */
	fill(f, &fast, &slow);
	assert_ptr_equal(candidate(f, SEC(6)), first);
	assert_ptr_equal(first->bucket, second->bucket);
	block(f, first, SEC(6));
	assert_null(candidate(f, SEC(6)));
	free_up(f->s1, &slow);
	assert_ptr_equal(candidate(f, SEC(7)), first);
	assert_ptr_not_equal(first->bucket, second->bucket);
	block(f, first, SEC(7));
	assert_ptr_equal(candidate(f, SEC(7)), second);
	assert_int_equal(second->bucket->open, 2);
}

/* Nobody goes before others by a target that cannot be met. */
static void served_late_an_impossible_target_holds_nobody(void **state)
{
	struct fixture *f = *state;
	struct request *impossible, *honest;
	struct charge fast, slow;

	queue_set_late(&f->q, SLO_LATE_SERVE);
	fill(f, &fast, &slow);
	f->now = SEC(1);
	impossible = push_own(f, 1);
	honest = push(f, SEC(1), 2048, 64);
	assert_true(impossible->start == SLO_NEVER && honest->start != SLO_NEVER);
	assert_ptr_equal(candidate(f, SEC(1)), honest);
	block(f, honest, SEC(1));
	assert_ptr_equal(candidate(f, SEC(1)), impossible);
	block(f, impossible, SEC(1));
	free_up(f->f1, &fast);
	assert_ptr_equal(candidate(f, SEC(1)), honest);
}

static void what_was_late_may_be_in_time_by_another_profile(void **state)
{
	struct fixture *f = *state;
	struct request *late, *later;

	queue_set_late(&f->q, SLO_LATE_SERVE);
	late = push(f, 0, 2048, 64);
	later = push(f, SEC(1), 2048, 64);
	assert_ptr_equal(candidate(f, SEC(9) + 1), later);
	assert_true(late->start == SLO_NEVER && later->start != SLO_NEVER);
	profile_free(f->slow->profile);
	f->slow->profile = profile_of(&(struct one_cell){ .tput = 1, .e2e = 4, .slo_e2e = 100 });
	queue_refresh(&f->q);
	assert_ptr_equal(candidate(f, SEC(10)), late);
	assert_true(late->start == SEC(96) && later->start == SEC(97));
	queue_set_late(&f->q, SLO_LATE_HOLD);
	assert_ptr_equal(candidate(f, SEC(1000)), late);
	queue_check(&f->q);
}

static void sizes_share_a_bucket_by_rounded_logarithms(void **state)
{
	struct fixture *f = *state;
	struct request *r90 = push(f, 0, 90, 3), *r91 = push(f, 0, 91, 3);
	struct request *r181 = push(f, 0, 181, 5), *r182 = push(f, 0, 182, 5);

	assert_ptr_not_equal(r90->bucket, r91->bucket);
	assert_ptr_equal(r91->bucket, r181->bucket);
	assert_ptr_not_equal(r181->bucket, r182->bucket);
}

static void no_tokens_are_apart_from_one(void **state)
{
	struct fixture *f = *state;
	struct request *r00 = push(f, 0, 0, 0), *r01 = push(f, 0, 1, 0);
	struct request *r10 = push(f, 0, 0, 1), *r11 = push(f, 0, 1, 1);

	assert_ptr_not_equal(r00->bucket, r01->bucket);
	assert_ptr_not_equal(r00->bucket, r10->bucket);
	assert_ptr_not_equal(r01->bucket, r10->bucket);
	assert_ptr_not_equal(r11->bucket, r01->bucket);
	assert_ptr_not_equal(r11->bucket, r10->bucket);
}

static void the_largest_sizes_have_a_bucket(void **state)
{
	struct fixture *f = *state;

	assert_non_null(push(f, 0, INT32_MAX, INT32_MAX)->bucket);
}

static void a_blocked_head_rests_until_there_is_room_for_it(void **state)
{
	struct fixture *f = *state;
	struct request *r = push(f, 0, 2048, 64);
	struct charge fast, slow;

	fill(f, &fast, &slow);
	assert_ptr_equal(candidate(f, 0), r);
	block(f, r, 0);
	assert_null(candidate(f, 0));
	assert_null(candidate(f, SEC(1)));
	free_up(f->f1, &fast);
	assert_ptr_equal(candidate(f, SEC(1)), r);
	assert_ptr_equal(candidate(f, SEC(1)), r); /* asking changes nothing */
}

static void too_little_room_wakes_no_head(void **state)
{
	struct fixture *f = *state;
	struct request *whole = push(f, 0, 2048, 64); /* start 9 in fast */
	struct request *eighth = push(f, SEC(1), 128, 64);
	struct charge half1, half2, slow;

	fleet_charge(f->f1->seats, ONE / 2, &half1);
	fleet_charge(f->f1->seats, ONE / 2, &half2);
	fleet_charge(f->s1->seats, ONE, &slow);
	block(f, whole, SEC(1));
	block(f, eighth, SEC(1));
	free_up(f->f1, &half1);
	assert_ptr_equal(candidate(f, SEC(1)), eighth);
	take(f, eighth);
	assert_null(candidate(f, SEC(1)));
	free_up(f->f1, &half2);
	assert_ptr_equal(candidate(f, SEC(1)), whole);
}

/* Both options of fast and slow, as rank_options() lists them. */
static void a_second_deployment_counts_only_while_it_is_in_time(void **state)
{
	struct fixture *f = *state;
	struct request *r = push(f, 0, 2048, 64); /* slow until 10 - 4 = 6 */
	struct charge fast, slow;

	fill(f, &fast, &slow);
	block(f, r, 0);
	free_up(f->s1, &slow);
	assert_ptr_equal(candidate(f, SEC(6)), r);
	fleet_charge(f->s1->seats, ONE, &slow);
	block(f, r, SEC(6));
	free_up(f->s1, &slow);
	assert_ptr_equal(candidate(f, SEC(6) + 1), r); /* it has fewer choices now */
	assert_int_equal(r->bucket->open, 1);
	block(f, r, SEC(6) + 1);
	assert_null(candidate(f, SEC(9)));
	free_up(f->f1, &fast);
	assert_ptr_equal(candidate(f, SEC(100)), r); /* the first one always */
}

static void a_new_head_is_tried_even_if_its_bucket_was_blocked(void **state)
{
	struct fixture *f = *state;
	struct request *a = push(f, 0, 2048, 64), *b = push(f, 0, 2048, 64);
	struct charge fast, slow;

	fill(f, &fast, &slow);
	block(f, a, 0);
	take(f, a);
	assert_ptr_equal(candidate(f, 0), b);
	block(f, b, 0);
	assert_null(candidate(f, 0));
}

static void a_refresh_tries_all_heads_again(void **state)
{
	struct fixture *f = *state;
	struct request *a = push(f, 0, 2048, 64), *b = push(f, 0, 128, 64);
	struct charge fast, slow;

	fill(f, &fast, &slow);
	block(f, a, 0);
	block(f, b, 0);
	assert_null(candidate(f, 0));
	queue_refresh(&f->q);
	queue_check(&f->q);
	assert_ptr_equal(candidate(f, 0), a);
	block(f, a, 0);
	assert_ptr_equal(candidate(f, 0), b);
}

static void without_a_usable_server_a_head_has_no_options(void **state)
{
	struct fixture *f = *state;
	struct request *r = push(f, 0, 2048, 64);

	assert_int_equal(r->bucket->options, 2);
	assert_int_equal(r->bucket->option[0].deployment, f->fast->index);
	fleet_set_usable(f->f1, false);
	queue_refresh(&f->q);
	assert_ptr_equal(candidate(f, 0), r);
	assert_int_equal(r->bucket->options, 1);
	assert_int_equal(r->bucket->option[0].deployment, f->slow->index);
	fleet_set_usable(f->s1, false);
	queue_refresh(&f->q);
	assert_ptr_equal(candidate(f, 0), r);
	assert_int_equal(r->bucket->options, 0);
	assert_true(r->bucket->start == INT64_MIN);
}

static void a_head_that_waits_only_for_its_second_choice_comes_back_when_that_is_late(void **state)
{
	struct fixture *f = *state;
	struct charge slow;
	struct request *r;

	profile_free(f->fast->profile);
	f->fast->profile = profile_of(&(struct one_cell){ .tput = 0, .e2e = 1, .slo_e2e = 10 });
	r = push(f, 0, 2048, 64);
	assert_true(r->bucket->option[0].infeasible);
	fleet_charge(f->s1->seats, ONE, &slow);
	block(f, r, 0);
	assert_null(candidate(f, SEC(6)));
	assert_ptr_equal(candidate(f, SEC(6) + 1), r);
}

static void a_head_is_tried_again_when_it_becomes_late(void **state)
{
	struct fixture *f = *state;
	struct request *r = push(f, 0, 2048, 64); /* slow until 6, fast until 9 */
	struct charge fast, slow;

	fill(f, &fast, &slow);
	block(f, r, SEC(7));
	assert_ptr_equal(candidate(f, SEC(7)), r); /* slow is not open any more */
	block(f, r, SEC(7));
	assert_null(candidate(f, SEC(9)));
	assert_ptr_equal(candidate(f, SEC(9) + 1), r);
	block(f, r, SEC(9) + 1);
	assert_null(candidate(f, SEC(1000)));
}

static void a_deployment_may_come_while_requests_wait(void **state)
{
	struct fixture *f = *state;
	struct request *r = push(f, 0, 2048, 64);
	struct charge fast, slow;
	struct deployment *d;

	fill(f, &fast, &slow);
	block(f, r, 0);
	d = fleet_deployment_new(&f->m, "late");
	assert_non_null(d);
	assert_int_equal(queue_deployment_added(&f->q), SLO_OK);
	d->profile = profile_of(&(struct one_cell){ .tput = 1, .e2e = 0.5, .slo_e2e = 10 });
	f->late = fleet_server_new("l1");
	assert_non_null(f->late);
	assert_int_equal(fleet_seat(d, f->late), SLO_OK);
	queue_refresh(&f->q);
	assert_ptr_equal(candidate(f, 0), r);
	assert_int_equal(r->bucket->options, 3);
	assert_int_equal(r->bucket->option[0].deployment, d->index);
}

static void a_deployment_may_go_while_requests_wait(void **state)
{
	struct fixture *f = *state;
	struct request *r = push(f, 0, 2048, 64);
	struct charge fast, slow;

	fill(f, &fast, &slow);
	block(f, r, 0);
	assert_int_equal(f->fast->index, 0);
	fleet_deployment_free(f->fast);
	queue_deployment_removed(&f->q);
	queue_check(&f->q);
	assert_ptr_equal(candidate(f, 0), r);
	assert_int_equal(r->bucket->options, 1);
	assert_ptr_equal(f->m.deployment[r->bucket->option[0].deployment], f->slow);
	block(f, r, 0);
	assert_null(candidate(f, 0));
	/* More sizes than there was room for when the deployment went, then another comes. */
	for (int i = 0; i < 20; i++)
		push(f, SEC(i), 1 << i, 1);
	assert_non_null(fleet_deployment_new(&f->m, "late"));
	assert_int_equal(queue_deployment_added(&f->q), SLO_OK);
	for (struct request *next; (next = candidate(f, 0));)
		block(f, next, 0);
	free_up(f->s1, &slow);
	assert_ptr_equal(candidate(f, 0), r);
}

static void of_many_heads_none_comes_before_the_candidate(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 60; i++)
		push(f, SEC((i * 37) % 60), 1 << (i % 20), 1 << (i % 7));
	for (int i = 0; i < 60; i++) {
		struct request *r = candidate(f, SEC(100));

		assert_non_null(r);
		for (size_t k = 0; k < f->n; k++)
			if (f->made[k]->bucket && f->made[k]->bucket != r->bucket)
				assert_true(queue_compare(r->bucket, f->made[k]->bucket) < 0);
		take(f, r);
	}
	assert_null(candidate(f, SEC(100)));
	assert_int_equal(f->q.length, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_queue_has_no_candidate),
		TEST(heads_come_by_least_slack),
		TEST(a_tie_goes_to_the_earlier_created_and_then_to_the_earlier_arrival),
		TEST(of_one_target_the_first_created_leads_its_bucket),
		TEST(inside_a_bucket_the_tight_are_not_held_back_by_the_lax),
		TEST(served_late_a_request_may_go_anywhere),
		TEST(served_late_ones_stand_behind_the_others_the_oldest_first),
		TEST(what_has_only_one_choice_left_does_not_hold_what_has_two),
		TEST(served_late_an_impossible_target_holds_nobody),
		TEST(what_was_late_may_be_in_time_by_another_profile),
		TEST(sizes_share_a_bucket_by_rounded_logarithms),
		TEST(no_tokens_are_apart_from_one),
		TEST(the_largest_sizes_have_a_bucket),
		TEST(a_blocked_head_rests_until_there_is_room_for_it),
		TEST(too_little_room_wakes_no_head),
		TEST(a_second_deployment_counts_only_while_it_is_in_time),
		TEST(a_new_head_is_tried_even_if_its_bucket_was_blocked),
		TEST(a_refresh_tries_all_heads_again),
		TEST(without_a_usable_server_a_head_has_no_options),
		TEST(a_head_that_waits_only_for_its_second_choice_comes_back_when_that_is_late),
		TEST(a_head_is_tried_again_when_it_becomes_late),
		TEST(a_deployment_may_come_while_requests_wait),
		TEST(a_deployment_may_go_while_requests_wait),
		TEST(of_many_heads_none_comes_before_the_candidate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
