"""Parts of screens. Each renders the values it is given and knows nothing of workflows."""
