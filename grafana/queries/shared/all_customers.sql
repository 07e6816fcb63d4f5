$__conditionalAll(1 = 0, $customer)
