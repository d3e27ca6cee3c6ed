// The fields of a snapshot that filters can ask for.
import { mapField, type Adaptor } from '../lib/filters.ts';
import type { Info } from './api.ts';

export function filterFields(info: Info): Adaptor {
  return (fieldpath) => {
    switch (fieldpath[0]) {
      case 'kind':
        return info.kind;
      case 'name':
        return info.name;
      case 'parent':
        return info.parent;
      case 'labels':
        return mapField(info.labels, fieldpath);
      default:
        return undefined;
    }
  };
}
