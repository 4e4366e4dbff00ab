/* bounds.h - numbers kept within bounds, without the calls that fmin() and fmax() are.
 *
 * What is no number becomes the bound, as with these. A bound is always a number. */
#ifndef SLO_CORE_BOUNDS_H
#define SLO_CORE_BOUNDS_H

static inline double at_most(double x, double most)
{
	return x < most ? x : most;
}

/* As fmin() and fmax(): what is no number does not count. */
static inline double lesser(double a, double b)
{
	return a < b || __builtin_isnan(b) ? a : b;
}

static inline double greater(double a, double b)
{
	return a > b || __builtin_isnan(b) ? a : b;
}

static inline double at_least(double x, double least)
{
	return x > least ? x : least;
}

#endif
