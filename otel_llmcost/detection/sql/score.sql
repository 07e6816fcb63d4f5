-- The signed root of the deviance of a negative binomial distribution: n lumps where m were expected, give or take a
-- relative error of 1 / sqrt(r). Near a standard normal, also far out and for few lumps.
(n, m, r) -> if(n <= m, 0, sqrt(2 * greatest(n * log(n / m) - (n + r) * log((n + r) / (m + r)), 0))) AS score
