//! A [`Report`] of what a build did. (Contract stub: helper `report`.)
